package fhirsync

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// WriteTo writes the report as text for people. It holds the ids of resources, as the report does.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, r.String())
	return int64(n), err
}

// String gives the report as text for people.
func (r *Report) String() string {
	var b strings.Builder
	head := fmt.Sprintf("Patient %s from %s", r.PatientID, r.Server)
	fmt.Fprintf(&b, "%-62s %s\n", head, strings.ToUpper(r.Verdict.String()))
	withData := 0
	for _, t := range r.Types {
		if t.Received > 0 {
			withData++
		}
	}
	c := r.Requests
	fmt.Fprintf(&b, "  %s of %s, %s (%d metadata, %d data, %d verification, %d references, %d retries; minimum %d), %s\n",
		counted(r.Received(), "resource"), counted(withData, "type"), counted(c.Total(), "request"), c.Metadata, c.Data, c.Verification, c.References,
		c.Retries, c.Minimum, r.Finished.Sub(r.Started).Round(100*time.Millisecond))
	if !r.ResumedFrom.IsZero() {
		fmt.Fprintf(&b, "  resumed: goes on from a sync begun at %s\n", r.ResumedFrom.Format(time.RFC3339))
	}
	if len(r.Quirks) > 0 {
		fmt.Fprintf(&b, "  quirks: %s\n", strings.Join(r.Quirks, ", "))
	}
	if len(r.Filter) > 0 {
		fmt.Fprintf(&b, "  only asked for: %s\n", strings.Join(r.Filter, ", "))
	}
	if r.Interrupted {
		b.WriteString("  interrupted: it did not reach its end\n")
		if !r.NotBefore.IsZero() {
			fmt.Fprintf(&b, "  the server wants to be left alone until %s\n", r.NotBefore.Format(time.RFC3339))
		}
		if !r.Resumable {
			b.WriteString("  not resumable: the next sync begins anew\n")
		}
	}
	r.writeTypes(&b)
	r.writeGaps(&b)
	r.writeElsewhere(&b)
	r.writeRepairs(&b)
	if len(r.Notes) > 0 {
		b.WriteString("  notes\n")
		for _, n := range r.Notes {
			times := ""
			if n.Count > 1 {
				times = fmt.Sprintf(" (%d times)", n.Count)
			}
			fmt.Fprintf(&b, "    %s%s%s\n", prefix(n.Type), n.Detail, times)
		}
	}
	return b.String()
}

func prefix(typ string) string {
	if typ == "" {
		return ""
	}
	return typ + ": "
}

func (r *Report) writeTypes(b *strings.Builder) {
	wide := len("type")
	var names []string
	for name, t := range r.Types {
		if t.Received > 0 {
			names = append(names, name)
			wide = max(wide, len(name))
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(b, "  %-*s  %8s  %8s  %9s  %8s  %s\n", wide, "type", "received", "stored", "unchanged", "expected", "evidence")
	for _, name := range names {
		t := r.Types[name]
		expected := "-"
		if t.Expected != nil {
			expected = itoa(*t.Expected)
		}
		evidence := t.Evidence.String()
		if t.Evidence == Partitioned && t.Parts != "" {
			evidence += " (" + t.Parts + ")"
		}
		if t.Evidence == None {
			evidence = "-"
		}
		fmt.Fprintf(b, "  %-*s  %8d  %8d  %9d  %8s  %s\n", wide, name, t.Received, t.Stored, t.Unchanged, expected, evidence)
	}
}

// printableHost is printable for a host with its port.
func printableHost(host string) string {
	name, port, found := strings.Cut(host, ":")
	if !found {
		return printable(host, 255)
	}
	return printable(name, 255) + ":" + printable(port, 5)
}

// writeElsewhere says what came from other servers.
func (r *Report) writeElsewhere(b *strings.Builder) {
	for _, h := range r.Elsewhere {
		fmt.Fprintf(b, "  from %s: %s, %s, %s\n", printableHost(h.Host), counted(h.Resources, "resource"), counted(h.Contents, "content"), counted(h.Requests, "request"))
	}
}

func (r *Report) writeRepairs(b *strings.Builder) {
	if len(r.Repairs) == 0 {
		return
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(r.Repairs)) {
		parts = append(parts, itoa(r.Repairs[kind])+" "+printable(string(kind), 40))
	}
	fmt.Fprintf(b, "  repaired: %s\n", strings.Join(parts, ", "))
}

// listedGaps is how many gaps of one reason are printed one by one. JSON has them all.
const listedGaps = 20

func (r *Report) writeGaps(b *strings.Builder) {
	if len(r.Gaps) == 0 {
		return
	}
	b.WriteString("  gaps\n")
	byReason := map[GapReason][]Gap{}
	var reasons []GapReason
	for _, g := range r.Gaps {
		if byReason[g.Reason] == nil {
			reasons = append(reasons, g.Reason)
		}
		byReason[g.Reason] = append(byReason[g.Reason], g)
	}
	// The worst first.
	slices.SortStableFunc(reasons, func(a, b GapReason) int {
		if a.Verdict() != b.Verdict() {
			return int(a.Verdict()) - int(b.Verdict())
		}
		return strings.Compare(string(a), string(b))
	})
	for _, reason := range reasons {
		gaps := byReason[reason]
		if reason == Unsupported {
			var names []string
			for _, g := range gaps {
				names = append(names, g.Type)
			}
			fmt.Fprintf(b, "    %-11s %s that this server does not have: %s\n", reason, counted(len(names), "type"), strings.Join(names, ", "))
			continue
		}
		for i, g := range gaps {
			if i == listedGaps {
				fmt.Fprintf(b, "    %-11s and %d more\n", reason, len(gaps)-i)
				break
			}
			fmt.Fprintf(b, "    %-11s %s\n", reason, g.line())
		}
	}
}

// line is a gap in one line, without its reason.
func (g Gap) line() string {
	what := g.Ref
	if what == "" {
		what = g.Type
	}
	text := g.Detail
	if what != "" {
		text = what + ": " + text
	}
	if g.Host != "" {
		text += ": " + printableHost(g.Host)
	}
	if g.Count > 1 && !strings.Contains(text, itoa(g.Count)) {
		text += " (" + itoa(g.Count) + ")"
	}
	return text
}
