package jsonscan

import (
	"errors"
	"fmt"
	"io"
)

// MaxDepth is how deep arrays and objects may be nested in one resource, the
// resource itself being the first level. FHIR data stays below 30; the limit
// is there for input made to hurt.
const MaxDepth = 500

// ErrDepth says that arrays and objects are nested deeper than [MaxDepth].
// Errors that say so are found by errors.Is.
var ErrDepth = errors.New("nested too deep")

// SyntaxError says that bytes are not what they should be, and that asking for
// them again is of no use. Input that merely ends too early is never a
// SyntaxError: errors.Is(err, io.ErrUnexpectedEOF) tells it.
type SyntaxError struct {
	Offset int    // byte at which it was noticed, from the start of what was given to the function
	Reason string // a fixed text that holds nothing of the input
}

// Error gives the reason and the offset.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("jsonscan: %s at byte %d", e.Reason, e.Offset)
}

// placeError gives one of the sentinels a place. It is not a SyntaxError, so
// that a test for one kind never catches the other.
type placeError struct {
	offset int
	err    error
}

func (e *placeError) Error() string { return fmt.Sprintf("jsonscan: %v at byte %d", e.err, e.offset) }
func (e *placeError) Unwrap() error { return e.err }

func syntaxAt(offset int, reason string) error { return &SyntaxError{Offset: offset, Reason: reason} }
func endAt(offset int) error                   { return &placeError{offset, io.ErrUnexpectedEOF} }
func depthAt(offset int) error                 { return &placeError{offset, ErrDepth} }
