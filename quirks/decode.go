package quirks

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a quirk file.
const (
	maxFile   = 1 << 20
	maxNested = 32
	maxErrors = 20 // that are told of one file
)

// FileError is what is wrong with one place of a quirk file.
type FileError struct {
	// File is the name it was read by, Line where the mistake begins; 0 where it is about the whole.
	File string
	Line int
	// Field is the path of the field in JSON names, "set.types.Observation.fanOut.param", behind the id of its entry where there is one.
	Field string
	// Problem says what is wrong.
	Problem string
}

// Error names file, line and field.
func (e *FileError) Error() string {
	where := "quirks: " + e.File
	if e.Line > 0 {
		where += ":" + strconv.Itoa(e.Line)
	}
	if e.Field != "" {
		where += ": " + e.Field
	}
	return where + ": " + e.Problem
}

// node is a JSON value and where it stands.
type node struct {
	line    int
	object  []member // of an object, in order
	array   []*node
	text    string // of a string
	literal string // number, true, false, null; "{", "[", "\""
}

type member struct {
	name string
	line int
	node *node
}

func (n *node) kind() string {
	switch n.literal {
	case "{":
		return "an object"
	case "[":
		return "a list"
	case `"`:
		return "a text"
	case "true", "false":
		return n.literal
	case "null":
		return "null"
	}
	return "a number"
}

// parser reads JSON into nodes.
type parser struct {
	dec  *json.Decoder
	data []byte
	last int64 // offset up to which lines were counted
	line int
}

// at gives the line of the token that was read last.
func (p *parser) at() int {
	to := p.dec.InputOffset()
	p.line += bytes.Count(p.data[p.last:to], []byte("\n"))
	p.last = to
	return p.line + 1
}

func (p *parser) value(depth int) (*node, error) {
	if depth > maxNested {
		return nil, errors.New("nested too deeply")
	}
	tok, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &node{line: p.at()}
	switch t := tok.(type) {
	case json.Delim:
		n.literal = t.String()
		for p.dec.More() {
			name := ""
			line := 0
			if t == '{' {
				key, err := p.dec.Token()
				if err != nil {
					return nil, err
				}
				name, _ = key.(string)
				line = p.at()
			}
			v, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			if t == '{' {
				n.object = append(n.object, member{name, line, v})
			} else {
				n.array = append(n.array, v)
			}
		}
		if _, err := p.dec.Token(); err != nil { // the closing one.
			return nil, err
		}
		p.at()
	case string:
		n.literal, n.text = `"`, t
	case json.Number:
		n.literal = t.String()
	case bool:
		n.literal = strconv.FormatBool(t)
	case nil:
		n.literal = "null"
	}
	return n, nil
}

// decoder puts nodes into Go values and collects what does not fit.
type decoder struct {
	file string
	errs []error
}

func (d *decoder) wrong(line int, path, format string, args ...any) {
	d.errs = append(d.errs, &FileError{File: d.file, Line: line, Field: path, Problem: fmt.Sprintf(format, args...)})
}

// err gives what was collected.
func (d *decoder) err() error {
	if len(d.errs) > maxErrors {
		d.errs = append(d.errs[:maxErrors], fmt.Errorf("quirks: %s: and %d more", d.file, len(d.errs)-maxErrors))
	}
	return errors.Join(d.errs...)
}

// parse reads the JSON of a file.
func (d *decoder) parse(data []byte) *node {
	if len(data) > maxFile {
		d.wrong(0, "", "larger than %d bytes", maxFile)
		return nil
	}
	p := &parser{dec: json.NewDecoder(bytes.NewReader(data)), data: data}
	p.dec.UseNumber()
	n, err := p.value(0)
	if err == nil {
		if _, more := p.dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the value")
		}
	}
	if err != nil {
		line := p.at()
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			line = bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n")) + 1
		}
		d.wrong(line, "", "no valid JSON: %v", err)
		return nil
	}
	return n
}

// decode puts a node into a value.
func (d *decoder) decode(n *node, v reflect.Value, path string) {
	if n.literal == "null" {
		d.wrong(n.line, path, "is null: leave it out instead")
		return
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		if n.literal != `"` {
			d.wrong(n.line, path, "want a text, not %s", n.kind())
		} else if err := u.UnmarshalText([]byte(n.text)); err != nil {
			d.wrong(n.line, path, "%v", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), path)
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Map:
		d.mapped(n, v, path)
	case reflect.Slice:
		if n.literal != "[" {
			d.wrong(n.line, path, "want a list, not %s", n.kind())
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.array), len(n.array)))
		for i, e := range n.array {
			d.decode(e, v.Index(i), path+"["+strconv.Itoa(i)+"]")
		}
	case reflect.String:
		if n.literal != `"` {
			d.wrong(n.line, path, "want a text, not %s", n.kind())
			return
		}
		v.SetString(n.text)
	case reflect.Bool:
		if n.literal != "true" && n.literal != "false" {
			d.wrong(n.line, path, "want true or false, not %s", n.kind())
			return
		}
		v.SetBool(n.literal == "true")
	case reflect.Int:
		i, err := strconv.ParseInt(n.literal, 10, 32)
		if err != nil {
			d.wrong(n.line, path, "want a whole number, not %s", n.kind())
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.literal, 64)
		if err != nil {
			d.wrong(n.line, path, "want a number, not %s", n.kind())
			return
		}
		v.SetFloat(f)
	default:
		d.wrong(n.line, path, "cannot be read")
	}
}

func (d *decoder) object(n *node, v reflect.Value, path string) {
	if n.literal != "{" {
		d.wrong(n.line, path, "want an object, not %s", n.kind())
		return
	}
	seen := map[string]bool{}
	for _, m := range n.object {
		i := slices.IndexFunc(reflect.VisibleFields(v.Type()), func(f reflect.StructField) bool {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return name == m.name
		})
		at := join(path, printable(m.name))
		switch {
		case i < 0:
			d.wrong(m.line, at, "there is no such field")
		case seen[m.name]:
			d.wrong(m.line, at, "is there twice")
		default:
			d.decode(m.node, v.Field(i), at)
		}
		seen[m.name] = true
	}
}

func (d *decoder) mapped(n *node, v reflect.Value, path string) {
	if n.literal != "{" {
		d.wrong(n.line, path, "want an object, not %s", n.kind())
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, m := range n.object {
		at := join(path, printable(m.name))
		key := reflect.New(v.Type().Key()).Elem()
		key.SetString(m.name)
		if v.MapIndex(key).IsValid() {
			d.wrong(m.line, at, "is there twice")
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		d.decode(m.node, e, at)
		v.SetMapIndex(key, e)
	}
}

// printable makes a name fit for a message.
func printable(s string) string {
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
