package dirstore

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// replaceFile puts content under a name: as before or as wanted, never in between, and on the disk when it returns.
func replaceFile(path string, content []byte) error {
	return replaceBy(path, func(f io.Writer) error {
		_, err := f.Write(content)
		return err
	})
}

// replaceBy is replaceFile for what is written bit by bit. An error of write leaves the file as it was.
func replaceBy(path string, write func(f io.Writer) error) error {
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		_ = os.Remove(path + ".tmp") // it is in nobody's way.
		return err
	}
	return syncDir(filepath.Dir(path))
}

// remove removes a file that may not be there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
