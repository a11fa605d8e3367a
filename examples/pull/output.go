package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/dirstore"
)

// output is the folder that the resources go to.
type output struct {
	dir       string
	temporary bool
	store     *dirstore.Store
}

// openOut opens the folder; "" stands for a new temporary one.
func openOut(dir string) (*output, error) {
	temporary := dir == ""
	if temporary {
		var err error
		if dir, err = os.MkdirTemp("", "fhirsync-"); err != nil {
			return nil, err
		}
	}
	store, err := dirstore.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	return &output{dir, temporary, store}, nil
}

// close closes the folder. A temporary one that holds nothing is of no use to anybody.
func (o *output) close(empty bool) error {
	err := o.store.Close()
	if o.temporary && empty {
		return errors.Join(err, os.RemoveAll(o.dir)) //nolint:gosec // made by openOut.
	}
	return err
}

// reportFile is where the report goes as JSON. It is made before the first request, so that a run does not end with a report that cannot be
// written; an older report under the name stays until then. nil: none is wanted.
type reportFile struct {
	path string
	f    *os.File
}

func createReport(path string) (*reportFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return nil, err
	}
	return &reportFile{path, f}, nil
}

// write puts the report in place. Without one nothing is written.
func (r *reportFile) write(report *fhirsync.Report) error {
	if r == nil {
		return nil
	}
	defer os.Remove(r.f.Name()) // gone already if all went well.
	defer r.f.Close()
	if report == nil {
		return nil
	}
	enc := json.NewEncoder(r.f)
	enc.SetIndent("", "  ")
	if err := enc.Encode(report); err != nil {
		return err
	}
	if err := r.f.Close(); err != nil {
		return err
	}
	return os.Rename(r.f.Name(), r.path) //nolint:gosec // that the user names the file is what the flag is for.
}
