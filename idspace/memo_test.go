package idspace //nolint:testpackage // what it tests is not exported.

import (
	"strconv"
	"testing"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/internal/xhtml"
)

// What is remembered of a text is never given for another, also where many fall into the same place.
func TestMemo(t *testing.T) {
	t.Parallel()
	var m memo
	if m.find([]byte("Patient/1")) != nil {
		t.Fatal("knows what it was not told")
	}
	made := map[string]*target{}
	kept := 0
	for i := range 5 * memoSlots {
		text := "Patient/" + strconv.Itoa(i)
		if i%2 == 0 {
			text = strconv.Itoa(i) // shorter than a word
		}
		made[text] = new(target)
		m.add(text, made[text])
		if m.find([]byte(text)) != made[text] {
			t.Fatalf("%s is forgotten at once", text)
		}
	}
	for text, want := range made {
		switch m.find([]byte(text)) {
		case want:
			kept++
		case nil:
		default:
			t.Fatalf("%s is taken for another", text)
		}
	}
	if kept > memoSlots || kept < memoSlots/2 {
		t.Errorf("%d of %d texts in %d slots", kept, len(made), memoSlots)
	}
	long := string(make([]byte, maxKnownText+1))
	if m.add(long, new(target)); m.find([]byte(long)) != nil {
		t.Error("a long text is kept")
	}
}

// FuzzMayLink: no narrative with links in it is passed over.
func FuzzMayLink(f *testing.F) {
	for _, s := range []string{`<a href=\"x\">`, `<img src\n = 'x'>`, `<a hre\u0066='x'>`, `<a href\f=x>`, `<p class=\"href\">=`, `<a\thref  =\r\n x>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inside string) {
		if jsonscan.Valid([]byte(`"`+inside+`"`)) != nil {
			return
		}
		text, _ := appendUnquoted(nil, []byte(inside))
		if len(xhtml.Links(string(text), nil)) > 0 && !mayLink([]byte(inside)) {
			t.Fatalf("%s has links", inside)
		}
	})
}
