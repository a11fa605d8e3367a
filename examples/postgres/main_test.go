package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/internal/pgtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	pgtest.StopShared()
	os.Exit(code)
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), &out, pgtest.Need(t), fmt.Sprint("example_", os.Getpid())); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"complete", "active medication requests", "erased: 2"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the output:\n%s", want, &out)
		}
	}
	t.Log(out.String())
}
