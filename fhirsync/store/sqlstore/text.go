package sqlstore

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

const hexMark = `\x`

// toText writes a string so that a text column gives it back: PostgreSQL's refuse NUL and what is not UTF-8, and SQLite's functions stop
// at a NUL.
func toText(s string) string {
	if strings.IndexByte(s, 0) < 0 && !strings.HasPrefix(s, hexMark) && utf8.ValidString(s) {
		return s
	}
	return hexMark + hex.EncodeToString([]byte(s))
}

func fromText(s string) (string, error) {
	rest, odd := strings.CutPrefix(s, hexMark)
	if !odd {
		return s, nil
	}
	b, err := hex.DecodeString(rest)
	if err != nil {
		return "", errors.New(`a text begins with \x and is not hexadecimal`)
	}
	return string(b), nil
}

// list collects values for one parameter that stands for many rows: an array in PostgreSQL, written as text, which every driver passes on
// as it is, or JSON in SQLite.
type list struct {
	b       strings.Builder
	dialect Dialect
}

func (l *list) next() {
	if l.b.Len() > 0 {
		l.b.WriteByte(',')
	}
}

func (l *list) int(n int64) {
	l.next()
	l.b.WriteString(strconv.FormatInt(n, 10))
}

func (l *list) text(s string) {
	l.next()
	if l.dialect == SQLite {
		quoted, _ := json.Marshal(s) // a string has JSON.
		l.b.Write(quoted)
		return
	}
	l.b.WriteByte('"')
	if strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\\') < 0 {
		l.b.WriteString(s)
		l.b.WriteByte('"')
		return
	}
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			l.b.WriteByte('\\')
		}
		l.b.WriteByte(s[i])
	}
	l.b.WriteByte('"')
}

func (l *list) String() string {
	if l.dialect == SQLite {
		return "[" + l.b.String() + "]"
	}
	return "{" + l.b.String() + "}"
}
