package pgxstore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fhirsync/fhirsync-go/fhirsync/store/pgxstore"
	"github.com/fhirsync/fhirsync-go/internal/pgtest"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// child is what a process does that TestMain finds itself to be: its role, then where the database is.
const (
	childRole   = "PGXSTORE_TEST_ROLE"
	childDSN    = "PGXSTORE_TEST_DSN"
	childSchema = "PGXSTORE_TEST_SCHEMA"
	limitName   = "account 7 https://x.test"
)

// shared30 is the limit of the tests with processes: long enough that a busy machine, which delays what was allowed, does not matter.
var shared30 = ratelimit.Limit{Requests: 30, Per: 3 * time.Second}

// child runs a role, and never comes back from "hold".
func child(role string) error {
	ctx := context.Background()
	p, err := pgxpool.New(ctx, os.Getenv(childDSN))
	if err != nil {
		return err
	}
	defer p.Close()
	schema := os.Getenv(childSchema)
	limits, err := pgxstore.OpenLimits(ctx, p, &pgxstore.LimitsOptions{Schema: schema})
	if err != nil {
		return err
	}
	if role == "hold" {
		tx, err := p.Begin(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT * FROM `+schema+`.fhirsync_limits FOR UPDATE`); err != nil {
			return err
		}
		fmt.Println("held")
		select {}
	}
	policy := ratelimit.Policy{Rate: 1000, Fixed: true, Limits: []ratelimit.Limit{shared30}, Shared: limits, Name: limitName}
	rt := ratelimit.New(policy).Transport(sender{})
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://x.test/Observation", nil)
		if err != nil {
			return err
		}
		resp, err := rt.RoundTrip(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
	}
}

// sender says when it sends.
type sender struct{}

func (sender) RoundTrip(req *http.Request) (*http.Response, error) {
	_, err := fmt.Println(time.Now().UnixNano())
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}, err
}

// start begins a process with a role and gives what it says, line by line.
func start(tb testing.TB, role, schema string) (kill func(), said <-chan string) {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), exe)
	cmd.Env = append(os.Environ(), childRole+"="+role, childDSN+"="+pgtest.Need(tb), childSchema+"="+schema)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	lines := make(chan string, 10_000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
		_ = cmd.Wait() // it was killed.
	}()
	kill = func() { _ = cmd.Process.Kill() } // it may be gone.
	tb.Cleanup(kill)
	return kill, lines
}

func openLimits(tb testing.TB, p *pgxpool.Pool, schema string) *pgxstore.Limits {
	tb.Helper()
	l, err := pgxstore.OpenLimits(tb.Context(), p, &pgxstore.LimitsOptions{Schema: schema})
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// Two processes keep one limit together; when one of them is killed, the other goes on with all of it.
func TestTwoProcessesShareALimit(t *testing.T) {
	t.Parallel()
	name := schema(t)
	kill, one := start(t, "send", name)
	killOther, other := start(t, "send", name)
	time.Sleep(5 * time.Second)
	kill()
	killed := time.Now()
	time.Sleep(8 * time.Second)
	killOther()
	read := func(lines <-chan string) (at []time.Time) {
		for line := range lines {
			n, err := strconv.ParseInt(line, 10, 64)
			if err != nil {
				t.Error(line)
			}
			at = append(at, time.Unix(0, n))
		}
		return at
	}
	ones, others := read(one), read(other)
	all := slices.Concat(ones, others)
	slices.SortFunc(all, time.Time.Compare)
	for i := range all {
		if j := i + shared30.Requests; j < len(all) && all[j].Sub(all[i]) < shared30.Per {
			t.Fatalf("more than %d within %v", shared30.Requests, all[j].Sub(all[i]))
		}
	}
	if len(ones) < 10 || len(others) < 10 {
		t.Errorf("one process sent %d, the other %d: they did not share", len(ones), len(others))
	}
	after := 0
	for _, at := range others {
		if at.After(killed) {
			after++
		}
	}
	t.Logf("%d and %d requests, %d of them in the 8 s after the first process was killed", len(ones), len(others), after)
	if after < shared30.Requests*3/2 {
		t.Errorf("only %d after the other was killed", after)
	}
}

// A process that is killed while it has the row of a limit holds nobody up.
func TestAKilledHolderHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	name := schema(t)
	l := openLimits(t, pool(t), name)
	ask := ratelimit.Ask{Limits: []ratelimit.Limit{shared30}, Permits: 1, Valid: time.Second}
	if _, err := l.Lease(t.Context(), limitName, ask); err != nil {
		t.Fatal(err)
	}
	kill, said := start(t, "hold", name)
	if line := <-said; line != "held" {
		t.Fatal(line)
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := l.Lease(short, limitName, ask); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another process has the row: %v", err)
	}
	kill()
	ctx, cancelAfter := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancelAfter()
	if got, err := l.Lease(ctx, limitName, ask); err != nil || got.Permits != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// stalling is a connection that goes silent before it sends a text.
type stalling struct {
	net.Conn
	before []byte
	stalls *atomic.Bool
	end    <-chan struct{}
}

func (s *stalling) Write(b []byte) (int, error) {
	if bytes.Contains(b, s.before) {
		s.stalls.Store(true)
		<-s.end
		return 0, io.ErrClosedPipe
	}
	return s.Conn.Write(b)
}

// A machine that is gone says nothing: its connection is open, and its transaction has the row. The database ends it.
func TestASilentHolderIsEnded(t *testing.T) {
	t.Parallel()
	name := schema(t)
	cfg, err := pgxpool.ParseConfig(pgtest.Need(t))
	if err != nil {
		t.Fatal(err)
	}
	var stalled atomic.Bool
	end := make(chan struct{})
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &stalling{Conn: c, before: []byte("UPDATE "), stalls: &stalled, end: end}, nil
	}
	silent, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ask := ratelimit.Ask{Limits: []ratelimit.Limit{shared30}, Permits: 30, Valid: time.Second}
	l := openLimits(t, pool(t), name)
	gone := openLimits(t, silent, name)
	failed := make(chan error, 1)
	ctx := t.Context()
	go func() {
		_, err := gone.Lease(ctx, limitName, ask)
		failed <- err
	}()
	for !stalled.Load() {
		time.Sleep(5 * time.Millisecond)
	}
	start := time.Now()
	got, err := l.Lease(ctx, limitName, ask)
	if err != nil || got.Permits != 30 {
		t.Errorf("%+v, %v", got, err)
	}
	if took := time.Since(start); took < time.Second || took > 30*time.Second {
		t.Errorf("it took %v: the row was held, or not let go in time", took)
	}
	close(end)
	if err := <-failed; err == nil {
		t.Error("the lease of a transaction that was ended was given out")
	}
	silent.Close()
}

// clocked gives limits in a database whose clock stands where set puts it: far from ours, ahead or behind.
func clocked(tb testing.TB) (l *pgxstore.Limits, set func(time.Time), name string) {
	tb.Helper()
	name = schema(tb)
	admin := pool(tb)
	do := func(text string, args ...any) {
		if _, err := admin.Exec(tb.Context(), text, args...); err != nil {
			tb.Fatal(err)
		}
	}
	do(`CREATE SCHEMA ` + name)
	do(`CREATE TABLE ` + name + `.clock (now timestamptz)`)
	do(`INSERT INTO ` + name + `.clock VALUES (now())`)
	do(`CREATE FUNCTION ` + name + `.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT now FROM ` + name + `.clock'`)
	cfg, err := pgxpool.ParseConfig(pgtest.Need(tb))
	if err != nil {
		tb.Fatal(err)
	}
	cfg.ConnConfig.RuntimeParams["search_path"] = name + ", pg_catalog"
	p, err := pgxpool.NewWithConfig(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return openLimits(tb, p, name), func(at time.Time) { do(`UPDATE `+name+`.clock SET now = $1`, at) }, name
}

func TestTheDatabasesClockDecides(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{time.Hour, -17 * time.Minute} {
		l, set, _ := clocked(t)
		at := time.Now().Add(ahead).Truncate(time.Microsecond)
		ask := ratelimit.Ask{Limits: []ratelimit.Limit{{Requests: 10, Per: time.Second}}, Permits: 8, Valid: 200 * time.Millisecond}
		for _, c := range []struct {
			after, wait time.Duration
			permits     int
		}{
			{0, 0, 8},
			{100 * time.Millisecond, 0, 2},
			{1100 * time.Millisecond, 100 * time.Millisecond, 0},
			{1201 * time.Millisecond, 0, 8},
		} {
			set(at.Add(c.after))
			if got, err := l.Lease(t.Context(), limitName, ask); err != nil || got.Permits != c.permits || got.Wait != c.wait {
				t.Errorf("%v after the first: %+v, %v", c.after, got, err)
			}
		}
		set(at.Add(2 * time.Second))
		if err := l.Pause(t.Context(), limitName, time.Minute); err != nil {
			t.Error(err)
		}
		if got, err := l.Lease(t.Context(), limitName, ask); err != nil || got.Wait != time.Minute {
			t.Errorf("in a pause: %+v, %v", got, err)
		}
		if got, err := l.Lease(t.Context(), "another", ask); err != nil || got.Permits != 8 {
			t.Errorf("another name: %+v, %v", got, err)
		}
	}
}

// Who has waited for the row takes the time at which it was got.
func TestTheTimeIsThatAfterWaiting(t *testing.T) {
	t.Parallel()
	l, set, name := clocked(t)
	at := time.Now().Add(time.Hour)
	set(at)
	ask := ratelimit.Ask{Limits: []ratelimit.Limit{{Requests: 1, Per: time.Minute}}, Permits: 1, Valid: time.Second}
	if got, err := l.Lease(t.Context(), limitName, ask); err != nil || got.Permits != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	p := pool(t)
	tx, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT * FROM `+name+`.fhirsync_limits FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	leased := make(chan ratelimit.Lease, 1)
	go func() {
		got, err := l.Lease(ctx, limitName, ask)
		if err != nil {
			t.Error(err)
		}
		leased <- got
	}()
	for n := 0; n == 0; time.Sleep(5 * time.Millisecond) {
		err := p.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND position($1 in query) > 0`, name).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
	}
	set(at.Add(2 * time.Minute))
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if got := <-leased; got.Permits != 1 {
		t.Errorf("%+v: the time is that of before the wait", got)
	}
}

func TestLimitsOpenedAtOnce(t *testing.T) {
	t.Parallel()
	name := schema(t)
	var wg sync.WaitGroup
	ctx := t.Context()
	for range 6 {
		p := pool(t)
		wg.Go(func() {
			l, err := pgxstore.OpenLimits(ctx, p, &pgxstore.LimitsOptions{Schema: name})
			if err != nil {
				t.Error(err)
				return
			}
			ask := ratelimit.Ask{Limits: []ratelimit.Limit{shared30}, Permits: 5, Valid: time.Second}
			if got, err := l.Lease(ctx, limitName, ask); err != nil || got.Permits != 5 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	wg.Wait()
}

func TestLimitsBadArguments(t *testing.T) {
	t.Parallel()
	if _, err := pgxstore.OpenLimits(t.Context(), nil, nil); err == nil {
		t.Error("no pool was accepted")
	}
	p := pool(t)
	for _, bad := range []string{"A", "1", `"`, strings.Repeat("a", 40)} {
		if _, err := pgxstore.OpenLimits(t.Context(), p, &pgxstore.LimitsOptions{Schema: bad}); err == nil {
			t.Errorf("the schema %q was accepted", bad)
		}
		if _, err := pgxstore.OpenLimits(t.Context(), p, &pgxstore.LimitsOptions{Prefix: bad}); err == nil {
			t.Errorf("the prefix %q was accepted", bad)
		}
	}
}
