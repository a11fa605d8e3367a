//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package dirstore_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/dirstore"
)

// bulky gives resources of which a few reach the limit of fillDisk.
func bulky(n int) []fhirsync.Resource {
	var out []fhirsync.Resource
	for i := range 8 {
		out = append(out, resource([]string{"Condition", "Observation"}[i%2], fmt.Sprint("r", i), strconv.Itoa(n)+strings.Repeat("x", 1000)))
	}
	return out
}

// fillDisk writes with a limit on the size of files, which gives short writes and errors as a full disk does.
func fillDisk() {
	limit, err := strconv.ParseUint(os.Getenv(helperArg), 10, 64)
	if err == nil {
		err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit})
	}
	var s *dirstore.Store
	if err == nil {
		s, err = dirstore.Open(os.Getenv(helperDir), nil)
	}
	accepted := 0
	for n := 0; err == nil && n < 100; n++ {
		if err = s.Put(context.Background(), fhirsync.Batch{Server: "payer", Resources: bulky(n)}); err == nil {
			accepted++
		}
	}
	if s == nil {
		fmt.Println(accepted, "opened:", err)
		os.Exit(0)
	}
	fmt.Println(accepted, err)
	// What was accepted can still be read, and the same batch gives the same error, not a panic.
	if accepted > 0 {
		for _, r := range bulky(accepted - 1) {
			if got, gerr := s.Get(context.Background(), r.Key); gerr != nil || string(got.Raw) != string(r.Raw) {
				fmt.Println("lost", r.ID, gerr)
			}
		}
	}
	if again := s.Put(context.Background(), fhirsync.Batch{Server: "payer", Resources: bulky(accepted)}); again == nil {
		fmt.Println("accepted what it refused before")
	}
	fmt.Println("end")
	if err := s.Close(); err != nil {
		os.Exit(0)
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, 30, 100, 400, 900, 5000, 10_000, 12_345, 30_000, 100_000} {
		dir := t.TempDir()
		cmd, out, in := helper(t, "full", dir, strconv.Itoa(limit))
		in.Close()
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatalf("limit %d: %q %v", limit, line, err)
		}
		count, said, _ := strings.Cut(line, " ")
		accepted, err := strconv.Atoi(count)
		if err != nil || !strings.Contains(said, syscall.EFBIG.Error()) {
			t.Errorf("limit %d: %q", limit, line)
		}
		if !strings.Contains(said, "opened") {
			if next, _ := out.ReadString('\n'); next != "end\n" {
				t.Errorf("limit %d: %q", limit, next)
			}
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
		// With room again everything goes on.
		s := open(t, dir, nil)
		if accepted > 0 {
			holds(t, s, bulky(accepted-1)...)
		} else if s.Len() != 0 {
			t.Errorf("limit %d: %d resources of a batch that was refused", limit, s.Len())
		}
		put(t, s, bulky(accepted)...)
		holds(t, s, bulky(accepted)...)
		mustClose(t, s)
		if lines := checkFiles(t, dir); len(lines) != 8 {
			t.Errorf("limit %d: %d lines", limit, len(lines))
		}
	}
}
