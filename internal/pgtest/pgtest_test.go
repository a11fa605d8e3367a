package pgtest_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/fhirsync/fhirsync-go/internal/pgtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	pgtest.StopShared()
	os.Exit(code)
}

func TestStartAndStop(t *testing.T) {
	if os.Getenv(pgtest.Variable) != "" {
		t.Setenv(pgtest.Variable, "")
	}
	pgtest.Need(t) // decides whether this test can be run
	s, err := pgtest.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	dir := u.Query().Get("host")
	if _, err := os.Stat(filepath.Join(dir, ".s.PGSQL.5432")); err != nil {
		t.Error(err)
	}
	s.Stop()
	s.Stop()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestGivenServer(t *testing.T) {
	t.Setenv(pgtest.Variable, "postgres://u@db.example/x")
	s, err := pgtest.Start(t.Context())
	if err != nil || s.DSN != "postgres://u@db.example/x" {
		t.Errorf("%v, %v", s, err)
	}
	s.Stop()
}

// tb notes what Need did.
type tb struct{ skipped, failed bool }

func (t *tb) Helper()      {}
func (t *tb) Fatal(...any) { t.failed = true }
func (t *tb) Skip(...any)  { t.skipped = true }

var _ pgtest.TB = testing.TB(nil)

func TestNeedIsNotMissedInCI(t *testing.T) {
	t.Setenv("CI", "true")
	got := new(tb)
	if dsn := pgtest.Need(got); (dsn == "") != got.failed || got.skipped {
		t.Errorf("%q, %+v", dsn, got)
	}
}
