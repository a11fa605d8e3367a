package idspace_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/idspace"
)

// testdata/ids.json was computed by another program. It must never change: resources are stored under these ids.
func TestGoldenIDs(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/ids.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Space, Type, ID, Hash, Prefix, UUID string }
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) < 20 {
		t.Fatal(len(vectors), err)
	}
	for _, v := range vectors {
		for scheme, want := range map[idspace.Scheme]string{idspace.Hash(): v.Hash, idspace.Prefix(): v.Prefix, idspace.UUIDv5(): v.UUID} {
			if want == "" {
				continue
			}
			space := mustSpace(t, idspace.Options{Name: v.Space, Scheme: scheme})
			if got := space.ID(v.Type, v.ID); got != want {
				t.Errorf("%s of %s, %s, %.40q: %s, want %s", scheme.Name(), v.Space, v.Type, v.ID, got, want)
			}
		}
	}
}

// hostileID gives ids of shapes that break careless schemes: separators, case, length, escapes, and what looks like an id that was made.
func hostileID(n int) string {
	s := strconv.Itoa(n / 16)
	switch n % 16 {
	case 0:
		return s
	case 1:
		return "a-" + s
	case 2:
		return "a." + s
	case 3:
		return strings.ToUpper(strconv.FormatInt(int64(n), 36) + "x") // and in small letters:
	case 4:
		return strconv.FormatInt(int64(n-1), 36) + "x"
	case 5:
		return s + "|" + s
	case 6:
		return s + "/" + s
	case 7:
		return strings.Repeat("a", 40) + s + "-" + strings.Repeat("b", 40)
	case 8:
		return "p-" + s
	case 9:
		return "p." + s
	case 10:
		return "p-q." + s
	case 11:
		return idspace.Hash().ID("p", "Patient", s)
	case 12:
		return idspace.UUIDv5().ID("p", "Patient", s)
	case 13:
		return "é" + s + "\x00"
	case 14:
		return "_" + s
	default:
		return s + "."
	}
}

var legal = regexp.MustCompile(`^[a-z0-9.-]{1,64}$`) // FHIR's, without capital letters

// TestNoCollisions makes a million ids per scheme in three spaces whose names invite trouble; FHIRSYNC_IDS says another number.
func TestNoCollisions(t *testing.T) {
	t.Parallel()
	total := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("FHIRSYNC_IDS")); err == nil {
		total = n
	}
	for _, scheme := range []idspace.Scheme{idspace.Hash(), idspace.Prefix(), idspace.UUIDv5()} {
		seen := make(map[[16]byte]struct{}, total)
		var spaces []*idspace.Space
		for _, name := range []string{"p", "p-q", "p-q-a"} {
			spaces = append(spaces, mustSpace(t, idspace.Options{Name: name, Scheme: scheme}))
		}
		for n := range total {
			id := spaces[n%3].ID("Patient", hostileID(n/3))
			if n%101 == 0 && !legal.MatchString(id) {
				t.Fatalf("%s: %q is not legal", scheme.Name(), id)
			}
			seen[fingerprint(id)] = struct{}{}
		}
		if len(seen) != total {
			t.Errorf("%s: %d ids are only %d", scheme.Name(), total, len(seen))
		}
	}
}

// fingerprint keeps the memory of ten million ids bounded: 128 bits of SHA-256 have no collisions of their own.
func fingerprint(id string) [16]byte {
	sum := sha256.Sum256([]byte(strings.ToLower(id)))
	return [16]byte(sum[:16])
}

func TestIDsOfDifferentPartsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, parts := range [][3]string{
		{"a", "b", "c"},
		{"ab", "", "c"},
		{"a", "bc", ""},
		{"a", "b", "C"},
		{"A", "b", "c"},
		{"a", "B", "c"},
		{"a", "b", "c "},
		{"a", "b/c", ""},
		{"a", "", "b/c"},
		{"a", "b", "\x00c"},
		{"a", "b\x00", "c"},
		{"a", "b", strings.Repeat("c", 10<<10)},
		{"a", "b", strings.Repeat("c", 10<<10) + "d"},
	} {
		for _, scheme := range []idspace.Scheme{idspace.Hash(), idspace.UUIDv5()} {
			id := strings.ToLower(mustSpace(t, idspace.Options{Name: parts[0], Scheme: scheme}).ID(parts[1], parts[2]))
			if old, ok := seen[id]; ok {
				t.Errorf("%.40q and %s have the id %s", parts, old, id)
			}
			seen[id] = fmt.Sprintf("%.40q", parts)
			if !legal.MatchString(id) {
				t.Errorf("%q is not legal", id)
			}
		}
	}
}

// A prefixed id says which prefix and which id it is made of, and is no hash.
func TestPrefixesAreUnambiguous(t *testing.T) {
	t.Parallel()
	spaces := []string{"a", "a-b", "a-b-c", "b", "b-c", "a--b"}
	ids := []string{"a", "b", "c", "b-c", "a-b", "-c", "c-", "-", "--", ".", "b.c", ".c", "a.b", "b-c.d", "a-b.c", "c.", strings.Repeat("x", 60), "B", "b_c"}
	ids = append(ids, mustSpace(t, idspace.Options{Name: "a"}).ID("Patient", "B"), "a-"+mustSpace(t, idspace.Options{Name: "a"}).ID("Patient", "B"))
	seen := map[string]string{}
	for _, name := range spaces {
		space := mustSpace(t, idspace.Options{Name: name, Scheme: idspace.Prefix()})
		for _, id := range ids {
			got := space.ID("Patient", id)
			if old, ok := seen[got]; ok {
				t.Errorf("%s and %s have the id %s", name+" "+id, old, got)
			}
			seen[got] = name + " " + id
			if !legal.MatchString(got) {
				t.Errorf("%q is not legal", got)
			}
		}
	}
}

// badScheme gives whatever it is told to.
type badScheme struct {
	id string
	_  []int // makes it incomparable
}

func (badScheme) Name() string                   { return "bad" }
func (s badScheme) ID(_, _, id string) string    { return s.id + id }
func (s badScheme) Check(space string) (_ error) { return nil }

func TestSchemesOfOthersAreChecked(t *testing.T) {
	t.Parallel()
	hash := mustSpace(t, idspace.Options{Name: "a"})
	stolen := hash.ID("Patient", "x")
	for _, c := range []struct{ prefix, id, want string }{
		{"ok-", "1", "ok-1"},
		{"", "x_y", ""},
		{"", "X", ""},
		{"", "..", ""},
		{"", "x.", ""},
		{"", "", ""},
		{"", stolen, ""},
		{"", strings.Repeat("x", 65), ""},
		{"", strings.Repeat("x", 64), strings.Repeat("x", 64)},
	} {
		space := mustSpace(t, idspace.Options{Name: "a", Scheme: badScheme{id: c.prefix}})
		want := c.want
		if want == "" {
			want = hash.ID("Patient", c.id)
		}
		if got := space.ID("Patient", c.id); got != want {
			t.Errorf("%q: %q, want %q", c.prefix+c.id, got, want)
		}
	}
}

type namelessScheme struct{ idspace.Scheme }

func (namelessScheme) Name() string { return "" }

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]idspace.Options{
		"no name":          {},
		"long name":        {Name: strings.Repeat("x", 129)},
		"control":          {Name: "a\nb"},
		"not UTF-8":        {Name: "a\xff"},
		"relative base":    {Name: "a", Bases: []string{"fhir"}},
		"empty base":       {Name: "a", Bases: []string{""}},
		"no host":          {Name: "a", Bases: []string{"https:///fhir"}},
		"port alone":       {Name: "a", Bases: []string{"https://:443/fhir"}},
		"user":             {Name: "a", Bases: []string{"https://u:p@h/fhir"}},
		"query":            {Name: "a", Bases: []string{"https://h/fhir?x=1"}},
		"fragment":         {Name: "a", Bases: []string{"https://h/fhir#x"}},
		"other scheme":     {Name: "a", Bases: []string{"ftp://h/fhir"}},
		"mark":             {Name: "a", Mark: 3},
		"nameless scheme":  {Name: "a", Scheme: namelessScheme{idspace.Hash()}},
		"prefix too long":  {Name: strings.Repeat("a", 21), Scheme: idspace.Prefix()},
		"prefix with dot":  {Name: "a.b", Scheme: idspace.Prefix()},
		"prefix, capitals": {Name: "A", Scheme: idspace.Prefix()},
		"prefix, hyphen":   {Name: "a-", Scheme: idspace.Prefix()},
	} {
		if s, err := idspace.New(o); err == nil || s != nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: the error quotes: %v", name, err)
		}
	}
}

func TestBasesInAnySpelling(t *testing.T) {
	t.Parallel()
	space := mustSpace(t, idspace.Options{Name: "a", Bases: []string{"https://FHIR.Example.org:443/r4/", "http://[::1]:8080/fhir", "http://plain.example"}})
	for url, want := range map[string]bool{
		"https://fhir.example.org/r4":      true,
		"HTTP://fhir.example.org/r4/":      true,
		"http://fhir.example.org:80/r4//":  true,
		"https://fhir.example.org./r4":     true,
		"https://fhir.example.org:/r4":     true,
		"https://fhir.example.org:443./r4": false,
		"https://fhir.example.org:80/r4":   false,
		"https://fhir.example.org/R4":      false,
		"https://fhir.example.org":         false,
		"https://fhir.example.org/r4/x":    false,
		"https://fhir.example.org.evil/r4": false,
		"https://x@fhir.example.org/r4":    false,
		"https://[::1]:8080/fhir":          true,
		"https://[::1]/fhir":               false,
		"https://plain.example":            true,
		"plain.example":                    false,
		"":                                 false,
	} {
		if got := space.HasBase(url); got != want {
			t.Errorf("%s: %v", url, got)
		}
	}
}
