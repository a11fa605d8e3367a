package dirstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Errors that are told apart with errors.Is. A closed store gives fs.ErrClosed.
var (
	// ErrLocked: the folder is open already, in another process or in this one.
	ErrLocked = errors.New("dirstore: the folder is in use")
	// ErrOtherServer: the folder holds resources of one server, and was given some of another.
	ErrOtherServer = errors.New("dirstore: the folder holds resources of another server; give each server a folder of its own")
	// ErrNewer: the folder was written by a newer version of this package.
	ErrNewer = errors.New("dirstore: the folder was written by a newer version")
)

// Options are how a folder is kept. nil is the zero value.
type Options struct {
	// Gzip: files are called <Type>.ndjson.gz and compressed. A folder that was written the other way is converted by Open, which reads and
	// writes all of it.
	Gzip bool
	// NoSync: Put does not wait until the disk has what it was given. That is faster, and after a power failure, though not after a crash of
	// the process alone, what was put since the last SaveState or Close may be missing: an unfinished sync then goes on before it.
	NoSync bool
	// History keeps the old versions that references name (see [fhirsync.HistoryStore]): a sync then asks for each of them. Without it, it
	// does not.
	History bool
	// Contents keeps what attachments name as files of their own (see [fhirsync.ContentStore]). Without it, it comes as Binary resources among
	// the others.
	Contents bool
	// Logger gets a warning when something had to be repaired: type and counts, never content or ids. nil: silent.
	Logger *slog.Logger

	limits limits
}

// limits are when housekeeping is done.
type limits struct {
	recent int   // entries of an index in memory; 0: a 16th of all, at least 32,768 and at most 262,144
	waste  int64 // bytes of replaced lines; 0: 64 MB, or half of all if that is more
	member int   // bytes in a gzip member; 0: 1 MB
}

// Store is a fhirsync.Store in a folder, with all optional powers. Safe for concurrent use.
type Store struct {
	dir    string
	form   form
	noSync bool
	keeps  struct{ history, contents bool }
	log    *slog.Logger
	limits limits
	unlock func() error

	mu     sync.RWMutex
	tables map[string]*table
	server string // of all resources; "" until the first is put
	closed bool
	broken error // after which nothing is written until the folder was opened anew

	readers atomic.Int64 // loops that are under way: no file is replaced under them
	heldUp  map[sum]bool // what is in quarantine; nil until something is put there
	heldEnd int64        // where its file ends

	otherMu sync.Mutex        // taken before mu, never under it
	others  map[string]*Store // folders of other servers that are open, by server
}

var (
	_ fhirsync.Store           = (*Store)(nil)
	_ fhirsync.StateStore      = (*Store)(nil)
	_ fhirsync.DigestStore     = (*Store)(nil)
	_ fhirsync.QuarantineStore = (*Store)(nil)
	_ fhirsync.HistoryStore    = (*Store)(nil)
	_ fhirsync.ContentStore    = (*Store)(nil)
)

// Powers gives all that the store can do, history and contents only where Options ask for them.
func (s *Store) Powers() fhirsync.Powers {
	p := fhirsync.Powers{State: s, Digests: s, Quarantine: s}
	if s.keeps.history {
		p.History = s
	}
	if s.keeps.contents {
		p.Content = s
	}
	return p
}

const (
	hiddenDir     = ".fhirsync"
	formatVersion = 1
)

// format is the content of .fhirsync/format.json.
type format struct {
	Format int    `json:"format"`
	Server string `json:"server,omitempty"`
}

// Open opens a folder, and makes it if it is not there. It may hold NDJSON files already: those named <Type>.ndjson or <Type>.ndjson.gz are
// taken over, others are left alone. What a crash has left half written is repaired.
//
// The error is [ErrLocked] if the folder is in use, [ErrNewer] if this version cannot read it, or that of the file system.
func Open(dir string, opts *Options) (*Store, error) {
	if opts == nil {
		opts = new(Options)
	}
	s := &Store{dir: dir, form: plain, noSync: opts.NoSync, log: opts.Logger, limits: opts.limits, tables: map[string]*table{}}
	if opts.Gzip {
		s.form = zipped
	}
	s.keeps.history, s.keeps.contents = opts.History, opts.Contents
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(s.hidden(stateDir), 0o700); err != nil {
		return nil, fmt.Errorf("dirstore: %w", err)
	}
	unlock, err := lock(s.hidden("lock"))
	if err != nil {
		if errors.Is(err, ErrLocked) {
			return nil, err
		}
		return nil, fmt.Errorf("dirstore: %w", err)
	}
	s.unlock = unlock
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

func (s *Store) open() error {
	if err := s.readFormat(); err != nil {
		return err
	}
	types := map[string]bool{}
	for _, in := range []struct {
		dir      string
		suffixes []string
	}{
		{s.dir, []string{plain.suffix(), zipped.suffix()}},
		{s.hidden(""), []string{".rows", ".rows.new"}},
	} {
		entries, err := os.ReadDir(in.dir)
		if err != nil {
			return fmt.Errorf("dirstore: %w", err)
		}
		for _, e := range entries {
			for _, suffix := range in.suffixes {
				if typ, is := strings.CutSuffix(e.Name(), suffix); is && isTypeName(typ) && e.Type().IsRegular() {
					types[typ] = true
				}
			}
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		if err := s.openTable(typ); err != nil {
			return fmt.Errorf("dirstore: %s: %w", typ, err)
		}
	}
	if err := s.sweepContents(); err != nil {
		return fmt.Errorf("dirstore: %s: %w", contentsDir, err)
	}
	return nil
}

func (s *Store) path(name string) string   { return filepath.Join(s.dir, name) }
func (s *Store) hidden(name string) string { return filepath.Join(s.dir, hiddenDir, name) }

func (s *Store) readFormat() error {
	raw, err := os.ReadFile(s.hidden("format.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // written with the first resource
	}
	if err != nil {
		return fmt.Errorf("dirstore: %w", err)
	}
	var f format
	if err := json.Unmarshal(raw, &f); err != nil || f.Format < 1 {
		return fmt.Errorf("dirstore: %s is damaged; without the folder %s the NDJSON files are read anew", s.hidden("format.json"), hiddenDir)
	}
	if f.Format > formatVersion {
		return fmt.Errorf("%w (format %d, this one knows %d)", ErrNewer, f.Format, formatVersion)
	}
	s.server = f.Server
	return nil
}

// bind makes the folder that of a server, if it is not yet.
func (s *Store) bind(server string) error {
	switch {
	case s.server == server && server != "":
		return nil
	case s.server != "":
		return ErrOtherServer
	case server == "" || !utf8.ValidString(server):
		return errors.New("dirstore: the resources name no server, or one that is not UTF-8")
	}
	raw, err := json.Marshal(format{Format: formatVersion, Server: server})
	if err != nil {
		return err
	}
	if err := replaceFile(s.hidden("format.json"), append(raw, '\n')); err != nil {
		return fmt.Errorf("dirstore: %w", err)
	}
	s.server = server
	return nil
}

// usable tells why nothing can be written.
func (s *Store) usable() error {
	if s.closed {
		return fmt.Errorf("dirstore: %w", fs.ErrClosed)
	}
	if s.broken != nil {
		return fmt.Errorf("dirstore: open the folder anew after: %w", s.broken)
	}
	return nil
}

// Close brings the files into the form in which others may read them, each Key once, and gives the folder free. After an error the folder is as
// after a crash: nothing is lost, and the next Open goes on. A second Close does nothing.
func (s *Store) Close() error {
	return errors.Join(s.closeOwn(), s.closeElsewhere()) // after it no folder of another server is opened.
}

func (s *Store) closeOwn() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	if s.broken == nil {
		for _, typ := range slices.Sorted(maps.Keys(s.tables)) {
			if err := s.tables[typ].finish(); err != nil {
				errs = append(errs, fmt.Errorf("dirstore: %s: %w", typ, err))
			}
		}
	}
	return errors.Join(append(errs, s.release())...)
}

func (s *Store) release() error {
	for _, t := range s.tables {
		t.close()
	}
	return s.unlock()
}

// Holds tells which resources were put last with these digests.
func (s *Store) Holds(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(keys) != len(digests) {
		return nil, fmt.Errorf("dirstore: %d keys and %d digests", len(keys), len(digests))
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	out := make([]bool, len(keys))
	for i, k := range keys {
		r, ok, err := s.find(k)
		if err != nil {
			return nil, err
		}
		out[i] = ok && r.known && r.digest == digests[i]
	}
	return out, nil
}

// find gives the row of a resource.
func (s *Store) find(key fhirsync.Key) (row, bool, error) {
	t := s.tables[key.Type]
	if t == nil || key.Server != s.server {
		return row{}, false, nil
	}
	r, ok, err := t.find(key.ID)
	if err != nil {
		return row{}, false, fmt.Errorf("dirstore: %s: %w", key.Type, err)
	}
	return r, ok, nil
}
