package xhtml_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/internal/xhtml"
)

func TestLinks(t *testing.T) {
	t.Parallel()
	for div, want := range map[string][]string{
		`<div xmlns="http://www.w3.org/1999/xhtml"><a href="A/1">x</a><img src='B/2' alt="href='no'"/></div>`: {"A/1", "B/2"},
		`<a title="a > b" href = " C/3 "/>`: {"C/3"},
		`<a href=D/4>`:                      {"D/4 bare"},
		`<a href="E/a&amp;b?x=1&amp;y=2"/><a href="E/1?x=1&amp;y=2"/>`:              {"E/a&b?x=1&y=2 odd", "E/1?x=1&amp;y=2"},
		`href="no" <!-- <a href="no"> --> <![CDATA[<a href="no">]]> <?a href="x"?>`: nil,
		`<a hrefx="no" xsrc="no" HREF="no">`:                                        nil,
		`<a href="unclosed`:                                                         nil,
		`<a href="1"`:                                                               {"1"},
		`<a href`:                                                                   nil, `<a href=`: nil, `<`: nil, ``: nil, `<!--`: nil, `</a href="no">`: nil,
	} {
		var got []string
		for _, l := range xhtml.Links(div, nil) {
			line := l.Text
			if l.Odd {
				line += " odd"
			} else if div[l.Start:l.End] != l.Text {
				t.Errorf("%s stands at %s", l.Text, div[l.Start:l.End])
			}
			if l.Bare {
				line += " bare"
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", div, diff)
		}
	}
}

func FuzzLinks(f *testing.F) {
	f.Add(`<div><a href="A/1">x</a><img src='B&amp;2'/></div>`)
	f.Fuzz(func(t *testing.T, div string) {
		end := 0
		for _, l := range xhtml.Links(div, nil) {
			if l.Start < end || l.End < l.Start || l.End > len(div) {
				t.Fatalf("%+v in %q", l, div)
			}
			end = l.End
		}
	})
}
