package quirks_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/quirks"
)

const serversIntro = `# Servers known, and what each gets wrong

What the package knows of servers beside the specification, and what a sync does about it. Made of [the data](data) by
` + "`go test ./quirks -update`" + `: correct it there.

A fact is *documented* (by the vendor, by the server's own statement or source code), *reported* (by somebody who runs against the server),
*inferred* (read out of code) or *observed* (the server was run and watched), and was looked at in the month that it is linked with. Where it
changes what is sent or decided, the setting stands behind the arrow: its meaning is told by ` + "`go doc quirks.Set`" + `. Where it does not,
the reason stands in italics.

Entries of *engines*, on which vendors build, give way to all others. Entries without anything that they are found by are kept for what they say.
`

// TestServersPage: SERVERS.md is made of the data.
func TestServersPage(t *testing.T) {
	t.Parallel()
	entries := shipped(t).Entries()
	slices.SortFunc(entries, func(a, b quirks.Entry) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	var b strings.Builder
	b.WriteString(serversIntro)
	b.WriteString("\n| server | found by | facts | settings |\n|---|---|---|---|\n")
	for _, e := range entries {
		settings := settingsOf(t, e.Set)
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %d | %s |\n", e.Name, e.ID, foundBy(e), len(e.Sources)+len(e.Notes), groups(settings))
	}
	for _, e := range entries {
		writeEntry(t, &b, e)
	}
	golden(t, "SERVERS.md", []byte(b.String()))
}

func writeEntry(t *testing.T, b *strings.Builder, e quirks.Entry) {
	t.Helper()
	settings := settingsOf(t, e.Set)
	fmt.Fprintf(b, "\n<a id=%q></a>\n\n## %s\n\n", e.ID, e.Name)
	kind := ""
	if e.Engine {
		kind = " An engine."
	}
	fmt.Fprintf(b, "`%s`.%s Found by %s.\n", e.ID, kind, foundBy(e))
	if e.MovedTo != "" {
		fmt.Fprintf(b, "Moved to %s.\n", e.MovedTo)
	}
	if vars := e.Set.Vars(); len(vars) > 0 {
		fmt.Fprintf(b, "`Server.Vars` may hold `%s`.\n", strings.Join(vars, "`, `"))
	}
	b.WriteString("\n")
	shown := map[string]bool{} // each setting once, with the first fact that speaks for it.
	for _, s := range e.Sources {
		fmt.Fprintf(b, "- **%s**: %s (%s)\n", s.About, escaped.Replace(s.Says), cited(s))
		var again []string
		for _, path := range slices.Sorted(maps.Keys(settings)) {
			switch {
			case !slices.ContainsFunc(s.Fields, func(f string) bool { return path == f || strings.HasPrefix(path, f+".") }):
			case shown[path]:
				again = append(again, "`"+path+"`")
			default:
				shown[path] = true
				fmt.Fprintf(b, "  → `%s`: `%s`\n", path, settings[path])
			}
		}
		if len(again) > 0 {
			fmt.Fprintf(b, "  → %s, as above\n", strings.Join(again, ", "))
		}
	}
	for _, n := range e.Notes {
		fmt.Fprintf(b, "- **%s**: %s (%s) *%s*\n", n.Source.About, escaped.Replace(n.Source.Says), cited(n.Source), escaped.Replace(n.Why))
	}
}

// escaped keeps text from being taken for Markdown.
var escaped = strings.NewReplacer("*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`, "|", `\|`)

func cited(s quirks.Source) string {
	if s.URL == "" {
		return string(s.Confidence) + ", " + s.Seen
	}
	return string(s.Confidence) + ", [" + s.Seen + "](" + s.URL + ")"
}

func foundBy(e quirks.Entry) string {
	var out []string
	for _, m := range e.Match {
		var all []string
		for _, x := range []struct{ what, text string }{
			{"", m.BaseURL},
			{"software ", m.Software},
			{"version ", m.Version},
			{"publisher ", m.Publisher},
			{"implementation ", m.Implementation},
			{"FHIR ", m.FHIRVersion},
		} {
			if x.text != "" {
				all = append(all, x.what+"`"+x.text+"`")
			}
		}
		out = append(out, strings.Join(all, " and "))
	}
	if len(out) == 0 {
		return "nothing that is verified"
	}
	return strings.Join(out, ", ")
}

// groups names the parts of a Set that are set.
func groups(settings map[string]string) string {
	seen := map[string]bool{}
	for path := range settings {
		name, rest, _ := strings.Cut(path, ".")
		if name == "types" {
			typ, _, _ := strings.Cut(rest, ".")
			name = strings.ReplaceAll(typ, "*", "all types")
		}
		seen[name] = true
	}
	if len(seen) == 0 {
		return "-"
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), ", ")
}

// settingsOf gives the fields of a Set by their paths, as JSON.
func settingsOf(t *testing.T, s quirks.Set) map[string]string {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if m, ok := v.(map[string]any); ok {
			for name, x := range m {
				walk(strings.TrimPrefix(path+"."+name, "."), x)
			}
			return
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = string(text)
	}
	walk("", v)
	return out
}
