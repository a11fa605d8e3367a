// Package fhirsync pulls all of one patient's health record out of any FHIR server and into the caller's own storage.
//
// The promise: every resource of the patient reaches the store, or the report says which did not, and why.
package fhirsync
