package dirstore

import (
	"bytes"
	"errors"
	"strings"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// maxLine bounds one line: what is longer is not a resource.
const maxLine = 1 << 30

var (
	errNoType   = errors.New("dirstore: the type is not a name that a file can have")
	errNoID     = errors.New("dirstore: a resource without an id")
	errLongID   = errors.New("dirstore: the id or version id is too long")
	errLong     = errors.New("dirstore: larger than 1 GB")
	errNoObject = errors.New("dirstore: not a JSON object")
)

// lineOf gives a resource as one line, without the break at its end. The bytes are raw's own where there is nothing to leave out.
func lineOf(raw []byte) ([]byte, error) {
	if len(raw) > maxLine {
		return nil, errLong
	}
	if err := jsonscan.Valid(raw); err != nil {
		return nil, err // says where and why, and quotes nothing.
	}
	if bytes.TrimLeft(raw, " \t\r\n")[0] != '{' {
		return nil, errNoObject
	}
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return raw, nil
	}
	// In JSON no string holds a raw line break, and no two tokens are kept apart by space alone.
	line := make([]byte, 0, len(raw))
	for _, c := range raw {
		if c != '\n' && c != '\r' {
			line = append(line, c)
		}
	}
	return line, nil
}

// isTypeName tells whether a resource type can be the name of a file, on any system.
func isTypeName(typ string) bool {
	if typ == "" || len(typ) > 64 || typ[0] < 'A' || typ[0] > 'Z' {
		return false
	}
	for _, c := range []byte(typ) {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	switch strings.ToLower(typ) {
	case "con", "prn", "aux", "nul": // devices, on Windows
		return false
	}
	return true
}
