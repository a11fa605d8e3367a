module github.com/fhirsync/fhirsync-go/internal/jsonscan/oracletest

go 1.26.0

require (
	github.com/fhirsync/fhirsync-go v0.0.0
	github.com/go-json-experiment/json v1.27.2
	github.com/google/go-cmp v0.7.0
)

replace github.com/fhirsync/fhirsync-go => ../../..
