// Package oracletest compares internal/jsonscan and package refs with github.com/go-json-experiment/json/jsontext, a JSON reader by other
// hands that is strict and loses nothing. It is a module of its own because the root module does without that dependency; there is
// nothing in it but tests.
package oracletest
