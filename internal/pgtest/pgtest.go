// Package pgtest gives tests and examples a PostgreSQL server: the one that FHIRSYNC_POSTGRES_DSN names, or one that is started from the
// binaries on the machine and ends with the process.
//
// It is no production code, and imports the standard library only: not even package testing, because an example's main uses it.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Variable names the environment variable with the connection string of a server to use instead of an own one.
const Variable = "FHIRSYNC_POSTGRES_DSN"

// ErrMissing says that there is no PostgreSQL on this machine, and how to get it.
var ErrMissing = errors.New("no PostgreSQL here: install it (Debian: apt-get install postgresql), or let " + Variable + " name a server that may be written to")

// Server is a running PostgreSQL.
type Server struct {
	// DSN is its connection string, as a URL. Its user may create schemas and databases.
	DSN string

	end  io.WriteCloser // the pipe that keeps the server alive; nil if it is not ours
	said chan string    // "ready" each time when the server is up, else why it is not
	done chan struct{}
	once sync.Once
}

// Start starts a server with an empty database, or gives the one that Variable names. It listens on a Unix socket in a folder of its own,
// so that several can run at once; fsync is on. It ends with Stop, or when this process ends, in whatever way.
func Start(ctx context.Context) (*Server, error) {
	if dsn := os.Getenv(Variable); dsn != "" {
		return &Server{DSN: dsn}, nil
	}
	return start(ctx, 0)
}

// StartCramped starts a server of its own, whatever Variable names, of which no file can be larger than so many kilobytes: what is more does
// not fit on its disk, until MakeRoom. Its own tables need 2,000.
func StartCramped(ctx context.Context, kilobytes int) (*Server, error) { return start(ctx, kilobytes) }

// MakeRoom starts a cramped server again, without a limit and with what it has.
func (s *Server) MakeRoom(ctx context.Context) error {
	if _, err := io.WriteString(s.end, "again\n"); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return s.up(ctx)
}

func start(ctx context.Context, kilobytes int) (*Server, error) {
	bin := binaries()
	if bin == "" {
		return nil, ErrMissing
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, fmt.Errorf("pgtest: an account for PostgreSQL, which does not run as root: %w", err)
	}
	dir, err := folder(owner)
	if err != nil {
		return nil, fmt.Errorf("pgtest: a folder for PostgreSQL: %w", err)
	}
	s := &Server{DSN: "postgres:///postgres?user=postgres&host=" + dir + "&port=5432&sslmode=disable", said: make(chan string), done: make(chan struct{})}
	if err := s.run(ctx, bin, dir, owner, kilobytes); err != nil {
		_ = os.RemoveAll(dir) // the error at hand says more.
		return nil, err
	}
	return s, nil
}

// program makes a database and runs the server until its standard input ends, which it does when the parent process is gone, however it
// went. Then it removes the folder. A line on its standard input ends the server and starts it again without a limit on its files.
const program = `
bin=$1 dir=$2 limit=$3
segment=16
[ $limit = unlimited ] || segment=1
"$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync --wal-segsize=$segment >"$dir/log" 2>&1 ||
  { cat "$dir/log"; rm -rf "$dir"; exit 1; }
while :; do
  # ulimit counts in blocks of 512 bytes.
  (ulimit -f $limit; exec "$bin/postgres" -D "$dir/data" -k "$dir" -p 5432 -c listen_addresses= -c fsync=on >>"$dir/log" 2>&1 </dev/null) &
  server=$!
  up=no
  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    "$bin/pg_isready" -q -h "$dir" -p 5432 -U postgres && { up=yes; break; }
    kill -0 $server 2>/dev/null || break
    sleep 0.2
  done
  if [ $up = yes ]; then echo ready; read -r again; else cat "$dir/log"; again=; fi
  kill -INT $server 2>/dev/null
  wait $server
  [ -n "$again" ] || break
  limit=unlimited
done
rm -rf "$dir"
`

func (s *Server) run(ctx context.Context, bin, dir string, owner *account, kilobytes int) error {
	limit := "unlimited"
	if kilobytes > 0 {
		limit = strconv.Itoa(2 * kilobytes)
	}
	// Not with ctx: that is for the start alone, the server outlives it.
	cmd := exec.Command("/bin/sh", "-c", program, "sh", bin, dir, limit) //nolint:noctx,gosec // see above; the program is ours
	cmd.Dir = dir
	// A signal from the terminal is for the tests, which then end the server in good order.
	lower(cmd, owner)
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	s.end = in
	go func() {
		defer close(s.done)
		defer close(s.said)
		line := make([]byte, 16*1024)
		for {
			n, err := io.ReadAtLeast(said, line, len("ready\n")) // at its end it has said what it has to say.
			if n > 0 {
				s.said <- string(line[:n])
			}
			if err != nil {
				_ = cmd.Wait() // its status tells nothing that its words do not.
				return
			}
		}
	}()
	return s.up(ctx)
}

// up waits until the server is ready.
func (s *Server) up(ctx context.Context) error {
	select {
	case text := <-s.said:
		if strings.HasPrefix(text, "ready") {
			return nil
		}
		s.Stop()
		return fmt.Errorf("pgtest: PostgreSQL did not start: %s", text)
	case <-ctx.Done():
		s.Stop()
		return context.Cause(ctx)
	}
}

// Stop ends the server, if it was started here, and removes its data. It may be called more than once.
func (s *Server) Stop() {
	s.once.Do(func() {
		if s.end != nil {
			_ = s.end.Close() // that is what it waits for.
			for range s.said {
				continue // whatever it has to say yet.
			}
			<-s.done
		}
	})
}

// TB is what Need wants of a testing.TB.
type TB interface {
	Helper()
	Fatal(args ...any)
	Skip(args ...any)
}

var shared struct {
	sync.Mutex
	server *Server
	err    error
}

// Need gives the connection string of the one server that all tests of this process share; it ends with the process or StopShared. Where
// there is no PostgreSQL the test is skipped, with the command that installs it, but fails in CI (CI=true): what CI has not run counts for
// nothing.
func Need(t TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		shared.server, shared.err = Start(ctx)
	}
	switch {
	case shared.err == nil:
		return shared.server.DSN
	case errors.Is(shared.err, ErrMissing) && os.Getenv("CI") != "true":
		t.Skip(shared.err)
	default:
		t.Fatal(shared.err)
	}
	return ""
}

// StopShared ends the server of Need and waits for its end, for a TestMain.
func StopShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.Stop()
	}
}

// binaries finds the folder with initdb and postgres, the newest where there are several; "" if there is none.
func binaries() string {
	var dirs []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"} {
		found, _ := filepath.Glob(pattern) // the patterns are well formed.
		slices.SortFunc(found, func(a, b string) int {
			if len(a) != len(b) {
				return len(b) - len(a)
			}
			return strings.Compare(b, a)
		})
		dirs = append(dirs, found...)
	}
	for _, dir := range dirs {
		whole := true
		for _, name := range []string{"initdb", "postgres", "pg_isready"} {
			info, err := os.Stat(filepath.Join(dir, name))
			whole = whole && err == nil && info.Mode()&0o111 != 0
		}
		if whole {
			return dir
		}
	}
	return ""
}

// folder makes the server's folder. The path of a Unix socket is short by law, and the server's account has to get there, which it does
// not below a folder that is closed to others.
func folder(owner *account) (string, error) {
	parent := os.TempDir()
	if len(parent) > 60 || owner != nil && !open(parent) {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "fhirsync-pg-")
	if err != nil || owner == nil {
		return dir, err
	}
	return dir, os.Chown(dir, owner.uid, owner.gid)
}

// open tells whether everybody may pass through a folder and all above it.
func open(dir string) bool {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		up := filepath.Dir(dir)
		if up == dir {
			return true
		}
		dir = up
	}
}

// account is whom the server runs as; nil: ourselves.
type account struct{ uid, gid int }
