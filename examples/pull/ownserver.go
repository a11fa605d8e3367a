package main

import "github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"

// useOwnServer starts a FHIR server on the loopback interface with a synthetic patient, one of whose references leads to nothing.
func (s *settings) useOwnServer() (stop func(), err error) {
	record := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 150, Dangling: 1})
	server := fhirtest.NewServer(record)
	server.Everything = true
	base, stop, err := server.Start()
	if err != nil {
		return nil, err
	}
	s.base, s.patient = base, record.PatientID
	s.name = "fhirtest" // the port is another one each time.
	return stop, nil
}
