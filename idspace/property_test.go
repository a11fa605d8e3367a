package idspace_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/refs"
)

const patientBase = "https://fhir.example.org/r4"

// patients gives the resources of some generated patients, which are made to be uncomfortable.
func patients(tb testing.TB) [][]byte {
	tb.Helper()
	var out [][]byte
	for seed := range uint64(2) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: seed, Size: 250, Dangling: 5, Secondary: 8, Attachments: 5})
		for _, r := range append(rec.Resources, rec.Referenced...) {
			out = append(out, bytes.ReplaceAll(r.Raw, []byte(fhirtest.BasePlaceholder), []byte(patientBase)))
		}
	}
	return out
}

// everySpace gives a space for each scheme and mark.
func everySpace(tb testing.TB, bases ...string) []*idspace.Space {
	tb.Helper()
	var out []*idspace.Space
	for _, scheme := range []idspace.Scheme{idspace.Hash(), idspace.Prefix(), idspace.UUIDv5()} {
		for _, mark := range []idspace.Mark{idspace.MarkTag, idspace.MarkSource, idspace.MarkIdentifier} {
			out = append(out, mustSpace(tb, idspace.Options{Name: "p-a", Bases: bases, Scheme: scheme, Mark: mark, Pairs: true}))
		}
	}
	return out
}

func TestNoByteElsewhereChanges(t *testing.T) {
	t.Parallel()
	all := patients(t)
	for _, space := range everySpace(t, patientBase) {
		for _, raw := range all {
			out, err := space.Rewrite(raw)
			if err != nil {
				t.Fatalf("%v\n%s", err, raw)
			}
			if why := difference(space, raw, out); why != "" {
				t.Fatalf("%s\nbefore %s\nafter  %s", why, raw, out.Raw)
			}
			if got, ok := space.Original(out.Raw); !ok || got.Type != out.Type || got.ID != out.ID || got.NewID != out.NewID {
				t.Fatalf("original is %v, %v in %s", got, ok, out.Raw)
			}
		}
	}
}

// attribute is a link in the generated narratives, which have no others.
var attribute = regexp.MustCompile(`="([A-Z][A-Za-z]*/[^"]*)"`)

var stringToken = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// difference compares two texts string by string, in another way than they were made: the marker is taken out where it was put in, and then only
// strings may differ that are ids or have one in them.
func difference(space *idspace.Space, raw []byte, out idspace.Rewritten) string {
	after := withoutMarker(space, string(out.Raw), out)
	a, b := stringToken.FindAllString(string(raw), -1), stringToken.FindAllString(after, -1)
	if len(a) != len(b) {
		return fmt.Sprintf("%d strings became %d", len(a), len(b))
	}
	if x, y := stringToken.ReplaceAllString(string(raw), ""), stringToken.ReplaceAllString(after, ""); x != y {
		return "something outside of strings has changed"
	}
	known := map[string]string{}
	for _, p := range out.Pairs {
		known[p.Type+"/"+p.ID] = p.NewID
	}
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		var x, y string
		if json.Unmarshal([]byte(a[i]), &x) != nil || json.Unmarshal([]byte(b[i]), &y) != nil {
			return "a string is no string"
		}
		if x == out.ID && y == out.NewID {
			continue
		}
		if strings.HasPrefix(x, "<div") {
			if y != attribute.ReplaceAllStringFunc(x, func(s string) string {
				typ, id, _ := strings.Cut(attribute.FindStringSubmatch(s)[1], "/")
				return `="` + typ + "/" + known[typ+"/"+id] + `"`
			}) {
				return x + " became " + y
			}
			continue
		}
		was := refs.Parse(x)
		is := refs.Parse(y)
		if was.Kind == refs.Absolute && !space.HasBase(was.Base) {
			return x + " is another server's"
		}
		newID, ok := known[was.Type+"/"+was.ID]
		if !ok || is.ID != newID || is.Type != was.Type || is.Version != was.Version || is.Fragment != was.Fragment || is.Query != was.Query {
			return x + " became " + y
		}
	}
	return ""
}

// withoutMarker takes out what marks a resource that had no marker.
func withoutMarker(space *idspace.Space, text string, out idspace.Rewritten) string {
	identity := space.Code() + "/" + out.Type + "/" + escaped(out.ID)
	tag := `{"system":"` + idspace.SpaceSystem + `","code":"` + space.Code() + `"}`
	original := `{"system":"` + idspace.OriginalSystem + `","code":"` + identity + `"}`
	identifier := `{"system":"` + idspace.OriginalSystem + `","value":"` + identity + `"}`
	source := `"source":"` + idspace.SourcePrefix + identity
	for _, marker := range []string{tag + "," + original, tag, identifier} {
		for _, with := range []string{
			`,"meta":{"tag":[` + marker + `]}`, `"tag":[` + marker + `],`, `"tag":[` + marker + `]`,
			`,"identifier":[` + marker + `]`, marker + ",", marker,
		} {
			text = strings.Replace(text, with, "", 1)
		}
	}
	for _, with := range []string{`,"meta":{` + source + `"}`, source + `",`, source + `"`} {
		text = strings.Replace(text, with, "", 1)
	}
	if before, rest, ok := strings.Cut(text, `"`+idspace.SourcePrefix+identity+"#"); ok { // what was there before is in the fragment
		fragment, after, _ := strings.Cut(rest, `"`)
		old, _ := json.Marshal(unescaped(fragment))
		text = before + string(old) + after
	}
	return text
}

func escaped(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

var percent = regexp.MustCompile(`%..`)

func unescaped(s string) string {
	return percent.ReplaceAllStringFunc(s, func(e string) string {
		var c byte
		_, _ = fmt.Sscanf(e, "%%%02X", &c)
		return string([]byte{c})
	})
}

// graph is who refers to whom, in order, without what is outside of the server.
func graph(t *testing.T, all [][]byte, base string) (nodes []string, edges [][2]string) {
	t.Helper()
	for _, raw := range all {
		var head struct{ ResourceType, ID string }
		if err := json.Unmarshal(raw, &head); err != nil {
			t.Fatal(err)
		}
		from := head.ResourceType + "/" + head.ID
		nodes = append(nodes, from)
		for f, err := range refs.All(raw, refs.FromReference, refs.FromAttachment) {
			if err != nil {
				t.Fatal(err)
			}
			if f.Ref.Kind == refs.Relative || f.Ref.Kind == refs.Absolute && f.Ref.Base == base {
				edges = append(edges, [2]string{from, f.Ref.Type + "/" + f.Ref.ID})
			} else {
				edges = append(edges, [2]string{from, "outside: " + f.Text})
			}
		}
	}
	return nodes, edges
}

func TestGraphIsTheSame(t *testing.T) {
	t.Parallel()
	all := patients(t)
	nodes, edges := graph(t, all, patientBase)
	for _, space := range everySpace(t, patientBase) {
		var rewritten [][]byte
		for _, raw := range all {
			out, err := space.Rewrite(raw)
			if err != nil {
				t.Fatal(err)
			}
			rewritten = append(rewritten, out.Raw)
		}
		newNodes, newEdges := graph(t, rewritten, patientBase)
		compareGraphs(t, nodes, newNodes, edges, newEdges)
	}
}

// compareGraphs wants one renaming, in which no two become one, to turn the first graph into the second.
func compareGraphs(t *testing.T, nodes, newNodes []string, edges, newEdges [][2]string) {
	t.Helper()
	there, back := map[string]string{}, map[string]string{}
	same := func(old, renamed string) {
		if strings.HasPrefix(old, "outside: ") {
			if old != renamed {
				t.Fatalf("%s became %s", old, renamed)
			}
			return
		}
		if a, ok := there[old]; ok && a != renamed {
			t.Fatalf("%s became %s and %s", old, a, renamed)
		}
		if a, ok := back[renamed]; ok && a != old {
			t.Fatalf("%s and %s became %s", old, a, renamed)
		}
		if old == renamed {
			t.Fatalf("%s stayed", old)
		}
		there[old], back[renamed] = renamed, old
	}
	if len(nodes) != len(newNodes) || len(edges) != len(newEdges) || len(edges) < len(nodes) {
		t.Fatalf("%d nodes and %d edges became %d and %d", len(nodes), len(edges), len(newNodes), len(newEdges))
	}
	for i := range nodes {
		same(nodes[i], newNodes[i])
	}
	for i := range edges {
		same(edges[i][0], newEdges[i][0])
		same(edges[i][1], newEdges[i][1])
	}
}

// A Mapping gives back what was there, but for bases, slashes and the marker.
func TestMappingGoesBack(t *testing.T) {
	t.Parallel()
	all := patients(t)
	_, edges := graph(t, all, patientBase)
	for _, space := range everySpace(t, patientBase) {
		var m idspace.Mapping
		var rewritten, restored [][]byte
		for _, raw := range all {
			out, err := space.Rewrite(raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Add(out.Pairs...); err != nil {
				t.Fatal(err)
			}
			rewritten = append(rewritten, out.Raw)
		}
		kept, err := json.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		var again idspace.Mapping
		if err := json.Unmarshal(kept, &again); err != nil || again.Len() != m.Len() || m.Len() < len(all)/2 {
			t.Fatalf("%d pairs became %d: %v", m.Len(), again.Len(), err)
		}
		for _, raw := range rewritten {
			back, err := again.Restore(raw)
			if err != nil {
				t.Fatal(err)
			}
			restored = append(restored, back)
		}
		_, back := graph(t, restored, patientBase)
		for i := range edges {
			if edges[i] != back[i] {
				t.Fatalf("%v came back as %v", edges[i], back[i])
			}
		}
	}
}

// Two servers that use the same ids share none afterwards, and what one refers to is never the other's.
func TestServersStayApart(t *testing.T) {
	t.Parallel()
	all := patients(t)
	for _, scheme := range []idspace.Scheme{idspace.Hash(), idspace.Prefix(), idspace.UUIDv5()} {
		seen := map[string]string{}
		for _, name := range []string{"payer-a", "payer-b", "payer"} {
			space := mustSpace(t, idspace.Options{Name: name, Scheme: scheme, Bases: []string{patientBase}})
			var rewritten [][]byte
			for _, raw := range all {
				out, err := space.Rewrite(raw)
				if err != nil {
					t.Fatal(err)
				}
				rewritten = append(rewritten, out.Raw)
			}
			nodes, edges := graph(t, rewritten, patientBase)
			for _, e := range edges {
				nodes = append(nodes, e[1])
			}
			for _, n := range nodes {
				if old, ok := seen[n]; ok && old != name && !strings.HasPrefix(n, "outside: ") {
					t.Fatalf("%s is of %s and %s", n, old, name)
				}
				seen[n] = name
			}
		}
	}
}
