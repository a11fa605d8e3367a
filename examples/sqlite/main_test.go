package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "records.db")
	var before string
	for range 2 { // the second time into the same file
		var out bytes.Buffer
		if err := start(t.Context(), &out, []string{file}); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		for _, want := range []string{"complete", "laboratory result", "obs-", "Active medications", "Placebo imaginarium"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in the output:\n%s", want, text)
			}
		}
		if before != "" && text != before {
			t.Errorf("first\n%s\nthen\n%s", before, text)
		}
		before = text
	}
	t.Log(before)
}

func TestTemporaryFile(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := start(t.Context(), &out, nil); err != nil || !strings.Contains(out.String(), "Active medications") {
		t.Errorf("%v\n%s", err, &out)
	}
}
