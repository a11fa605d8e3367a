package main

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Documents stands for what a backend has already: a service that keeps documents under a name and knows whom they are about. It was there
// before anybody thought of FHIR.
type Documents struct {
	mu    sync.Mutex
	bytes map[string][]byte
	about map[string]map[string]bool // person to names
}

// ErrNoDocument says that there is no document of that name.
var ErrNoDocument = errors.New("no such document")

// NewDocuments makes an empty service.
func NewDocuments() *Documents {
	return &Documents{bytes: map[string][]byte{}, about: map[string]map[string]bool{}}
}

// Save keeps a document under a name, in place of the one that was there, and notes that it is about a person.
func (d *Documents) Save(ctx context.Context, name, person string, content []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bytes[name] = slices.Clone(content)
	if d.about[person] == nil {
		d.about[person] = map[string]bool{}
	}
	d.about[person][name] = true
	return nil
}

// Load gives a document.
func (d *Documents) Load(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	content, ok := d.bytes[name]
	if !ok {
		return nil, ErrNoDocument
	}
	return slices.Clone(content), nil
}

// About gives the names of the documents about a person.
func (d *Documents) About(person string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.about[person] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
