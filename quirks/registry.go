package quirks

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Registry is what is known of servers: a list of entries. It does not change once it was made, and is safe for concurrent use.
type Registry struct {
	entries []Entry
	names   map[string]string // by id: the file
}

// New makes a registry of entries that were made in Go. The error names what is wrong with them, as that of [Load] does. Without entries
// it knows nothing.
func New(entries ...Entry) (*Registry, error) {
	d := &decoder{file: "entry"}
	for i := range entries {
		d.check(&entries[i], "", nil)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	r := &Registry{names: map[string]string{}}
	return r, r.add("", clone(entries))
}

//go:embed data
var shipped embed.FS

var byDefault = sync.OnceValue(func() *Registry {
	if r, err := Load(Shipped()); err == nil {
		return r
	}
	// What is shipped is tested: see TestShippedEntriesAreValid.
	return &Registry{}
})

// Shipped gives the files that come with the package.
func Shipped() fs.FS {
	data, err := fs.Sub(shipped, "data")
	if err != nil {
		return shipped // cannot be: the name is a valid one.
	}
	return data
}

// Default gives the registry that comes with the package. It is the same each time.
func Default() *Registry { return byDefault() }

// Load reads all files of a folder whose names end in ".json", without its subfolders. Each holds one [Entry], or a list of them. Two
// entries with one id are an error. The error joins one [*FileError] for each mistake.
func Load(fsys fs.FS) (*Registry, error) {
	files, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("quirks: %w", err)
	}
	r := &Registry{names: map[string]string{}}
	var errs []error
	for _, f := range files {
		if f.IsDir() || path.Ext(f.Name()) != ".json" {
			continue
		}
		data, err := read(fsys, f.Name())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		entries, err := Parse(f.Name(), data)
		if err == nil {
			err = r.add(f.Name(), entries)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return r, nil
}

// read reads a file, unless it is far too large.
func read(fsys fs.FS, name string) ([]byte, error) {
	if info, err := fs.Stat(fsys, name); err == nil && info.Size() > maxFile {
		return nil, &FileError{File: name, Problem: "larger than " + strconv.Itoa(maxFile) + " bytes"}
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("quirks: %w", err)
	}
	return data, nil
}

// Parse reads a quirk file: one [Entry] as JSON, or a list of them. It is strict: unknown fields, values of the wrong type, fields without
// evidence and patterns that fit every host are errors, as is all that a quirk must not do. name is the file's, for the errors, of which
// each is a [*FileError]; they are joined.
func Parse(name string, data []byte) ([]Entry, error) {
	d := &decoder{file: name}
	root := d.parse(data)
	if root == nil {
		return nil, d.err()
	}
	nodes := []*node{root}
	if root.literal == "[" {
		nodes = root.array
	}
	entries := make([]Entry, len(nodes))
	for i, n := range nodes {
		at := ""
		if root.literal == "[" {
			at = "[" + strconv.Itoa(i) + "]"
		}
		before := len(d.errs)
		d.decode(n, reflect.ValueOf(&entries[i]).Elem(), at)
		if len(d.errs) == before {
			d.check(&entries[i], at, n)
		}
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return entries, nil
}

// ParseSet reads a [Set] as JSON, for Server.Quirks. It is as strict as [Parse], except that a Set needs no evidence.
func ParseSet(name string, data []byte) (Set, error) {
	d := &decoder{file: name}
	var s Set
	root := d.parse(data)
	if root == nil {
		return s, d.err()
	}
	d.decode(root, reflect.ValueOf(&s).Elem(), "")
	if len(d.errs) == 0 {
		c := &checker{wrong: func(p, problem string) { d.wrong(root.find(p), p, "%s", problem) }}
		c.set(&s, "")
	}
	return s, d.err()
}

// Validate tells what is wrong with a Set that was made in Go: nil, or joined [*FileError]s whose File is "set".
func (s Set) Validate() error {
	d := &decoder{file: "set"}
	c := &checker{wrong: func(p, problem string) { d.wrong(0, p, "%s", problem) }}
	c.set(&s, "")
	return d.err()
}

// check looks at an entry; n is where it was read from, nil for one that was made in Go.
func (d *decoder) check(e *Entry, at string, n *node) {
	name := at
	if idForm.MatchString(e.ID) {
		name = e.ID
	}
	c := &checker{wrong: func(p, problem string) { d.wrong(n.find(p), join(name, p), "%s", problem) }}
	c.entry(e)
}

// find gives the line of what stands at a path, or of the nearest that is there.
func (n *node) find(path string) int {
	if n == nil {
		return 0
	}
	line := n.line
	path = strings.NewReplacer("[", ".", "]", "").Replace(path)
steps:
	for path != "" {
		for _, m := range n.object {
			if rest, ok := strings.CutPrefix(path, m.name); ok && m.name != "" && (rest == "" || rest[0] == '.') {
				n, line, path = m.node, m.line, strings.TrimPrefix(rest, ".")
				continue steps
			}
		}
		step, rest, _ := strings.Cut(path, ".")
		i, err := strconv.Atoi(step)
		if err != nil || i < 0 || i >= len(n.array) {
			break
		}
		n, line, path = n.array[i], n.array[i].line, rest
	}
	return line
}

// add puts entries into the registry that is being made.
func (r *Registry) add(file string, entries []Entry) error {
	for _, e := range entries {
		if other, known := r.names[e.ID]; known {
			return &FileError{File: file, Field: e.ID + ".id", Problem: "is used in " + other + " already"}
		}
		r.names[e.ID] = file
		r.entries = append(r.entries, e)
	}
	return nil
}

// With gives a registry with further entries, which are merged after those that it has where both are of the same level. One with the id
// of an entry that it has takes its place.
func (r *Registry) With(entries ...Entry) (*Registry, error) {
	more, err := New(entries...)
	if err != nil {
		return nil, err
	}
	out := &Registry{names: map[string]string{}}
	for _, e := range r.Entries() {
		if _, replaced := more.names[e.ID]; !replaced {
			out.entries = append(out.entries, e)
			out.names[e.ID] = r.names[e.ID]
		}
	}
	out.entries = append(out.entries, more.entries...)
	for id := range more.names {
		out.names[id] = ""
	}
	return out, nil
}

// Entries gives copies of all entries, in the order in which they were read.
func (r *Registry) Entries() []Entry {
	if r == nil {
		return nil
	}
	return clone(r.entries)
}

// Lookup gives what is known of a server by its base URL and, where caps is not nil, by what it says about itself: the Set, and the
// entries it was merged from, in order of their [Level], the narrower pattern of a base URL after the wider. Before metadata has been read
// caps is nil, and entries that match by it alone are not among them. Both results are copies.
func (r *Registry) Lookup(baseURL string, caps *Capabilities) (Set, []Entry) {
	var set Set
	var out []Entry
	for _, l := range r.layers(baseURL, caps) {
		set = set.Merge(l.entry.Set)
		out = append(out, clone(*l.entry))
	}
	return set, out
}

// layer is an entry that fits, and how.
type layer struct {
	entry  *Entry
	level  Level
	weight int
}

func (r *Registry) layers(baseURL string, caps *Capabilities) []layer {
	if r == nil {
		return nil
	}
	base := parseAddress(baseURL)
	var out []layer
	for i := range r.entries {
		if level, weight := r.entries[i].fits(base, caps); level > 0 {
			out = append(out, layer{&r.entries[i], level, weight})
		}
	}
	slices.SortStableFunc(out, func(a, b layer) int {
		if a.level != b.level {
			return int(a.level - b.level)
		}
		return a.weight - b.weight
	})
	return out
}

// Setting is one field of a merged Set, and where it comes from.
type Setting struct {
	// Field is its path in JSON names: "types.Observation.fanOut.param".
	Field string
	// Value is what is set, as JSON.
	Value string
	// Entry is the id of the entry that set it, at Level, and Sources are its evidence.
	Entry   string
	Level   Level
	Sources []Source
	// Over are the ids of the entries whose value it replaced, or to which it was added.
	Over []string
}

// Explain tells for each field of what [Registry.Lookup] gives which entry has set it, and why, in order of the fields.
func (r *Registry) Explain(baseURL string, caps *Capabilities) []Setting {
	var set Set
	by := map[string]*Setting{}
	for _, l := range r.layers(baseURL, caps) {
		set = set.Merge(l.entry.Set)
		fields(reflect.ValueOf(l.entry.Set), "", func(path string, _ reflect.Value) {
			s := &Setting{Field: path, Entry: l.entry.ID, Level: l.level, Sources: clone(sourcesOf(l.entry, path))}
			if old := by[path]; old != nil {
				s.Over = append(slices.Clone(old.Over), old.Entry)
			}
			by[path] = s
		})
	}
	var out []Setting
	fields(reflect.ValueOf(set), "", func(path string, v reflect.Value) {
		if s := by[path]; s != nil {
			s.Value = text(v)
			out = append(out, *s)
		}
	})
	return out
}
