package refs

import (
	"html"
	"strings"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// Rewrite gives a copy of raw in which references say something else. fn is called for what [All] finds among the sources, in document order,
// and gives the new text; for what it gives back as it was (found.Text), nothing changes. Every byte outside the strings that do change is
// the same as in raw, white space, order and duplicates included, so that fn of the identity gives back raw as it is.
//
// The text is written as a JSON string; in the narrative, as the value of an attribute in one. In both, what is not UTF-8 becomes U+FFFD.
// Found.Text shows a surrogate without its partner as U+FFFD, so that it is lost where such a text is changed.
//
// fn must not keep found, but may keep its strings. raw is not written to and not kept. With an error, which is as in All, there is no result.
func Rewrite(raw []byte, fn func(found *Found) string, sources ...Source) ([]byte, error) {
	type edit struct{ start, end, from, to int }
	var (
		edits []edit
		made  []byte
		size  = len(raw)
	)
	set := setOf(sources...)
	if len(sources) == 0 {
		set = every
	}
	err := find(raw, set, func(x *Found) bool {
		text := fn(x)
		if text == x.Text {
			return true
		}
		from := len(made)
		if x.Source == FromNarrative {
			made = jsonscan.AppendString(made, attribute.Replace(html.EscapeString(text)))
			made = made[:len(made)-len(`"`)]
			from += len(`"`)
		} else {
			made = jsonscan.AppendString(made, text)
		}
		edits = append(edits, edit{x.Start, x.End, from, len(made)})
		size += len(made) - from - (x.End - x.Start)
		return true
	})
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, size)
	at := 0
	for _, e := range edits {
		out = append(out, raw[at:e.start]...)
		out = append(out, made[e.from:e.to]...)
		at = e.end
	}
	return append(out, raw[at:]...), nil
}

// attribute keeps white space in the value of an attribute, whose ends would be trimmed, and which has no quotes in some narratives.
var attribute = strings.NewReplacer(" ", "&#32;", "\t", "&#9;", "\n", "&#10;", "\f", "&#12;", "\r", "&#13;")
