package conform

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

//go:embed r4.txt
var r4text string

// table has the elements of one version of FHIR. It is read only.
type table struct {
	types map[string]*typeInfo
	sets  map[string]*valueSet
}

// typeInfo is a resource type, a datatype, or an element that has elements of its own.
type typeInfo struct {
	resource bool
	elements map[string]*element
	required []required
}

// required is what must be there: one element of names.
type required struct {
	name  string // "status", "medication[x]"
	names []string
}

type element struct {
	typ  string    // as FHIR names it; "" where the version has no table
	info *typeInfo // nil for primitives, and for resources in resources
	many bool
	set  *valueSet // of the required binding of a code; nil where there is none, or no list
}

// primitive tells whether the element's JSON is no object.
func (e *element) primitive() bool { return e.info == nil && e.typ != "" && e.typ != "Resource" }

// valueSet are the codes of a required binding.
type valueSet struct {
	codes  map[string]bool
	folded map[string]string // by small letters; "" where several codes are the same then
}

func (s *valueSet) has(code string) bool { return s != nil && s.codes[code] }

// match gives the only code that a text is but for letter case and white space around it.
func (s *valueSet) match(text string) (code string, ok bool) {
	code = s.folded[strings.ToLower(strings.TrimSpace(text))]
	return code, code != ""
}

var r4 = sync.OnceValue(func() *table { return readTable(r4text) })

// everywhere has what r4.txt leaves out, because it is the same everywhere.
const (
	ofResources = "id id\nmeta Meta\nimplicitRules uri\nlanguage code\n"
	ofDomain    = "text Narrative\ncontained Resource *\nextension Extension *\nmodifierExtension Extension *\n"
	ofTypes     = "id string\nextension Extension *\nmodifierExtension Extension *\n"
)

// readTable reads what gen.go wrote.
func readTable(text string) *table {
	t := &table{types: map[string]*typeInfo{}, sets: map[string]*valueSet{}}
	lines := map[string][]string{}
	var current string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "="):
			fields := strings.Fields(line[1:])
			set := &valueSet{codes: map[string]bool{}, folded: map[string]string{}}
			for _, code := range fields[1:] {
				set.codes[code] = true
				small := strings.ToLower(code)
				if _, twice := set.folded[small]; twice {
					set.folded[small] = ""
				} else {
					set.folded[small] = code
				}
			}
			t.sets[fields[0]] = set
		case strings.HasPrefix(line, "\t@"):
			info := &typeInfo{elements: map[string]*element{}, resource: line != "\t@type"}
			t.types[current] = info
			more := ofTypes
			switch line {
			case "\t@resource":
				more = ofResources
			case "\t@domain":
				more = ofResources + ofDomain
			}
			lines[current] = strings.Split(strings.TrimSuffix(more, "\n"), "\n")
		case strings.HasPrefix(line, "\t"):
			lines[current] = append(lines[current], line[1:])
		default:
			current = line
		}
	}
	t.types["Element"] = &typeInfo{elements: map[string]*element{}}
	lines["Element"] = []string{"id string", "extension Extension *"}
	for name, all := range lines {
		t.fill(t.types[name], all)
	}
	return t
}

func (t *table) fill(info *typeInfo, lines []string) {
	for _, line := range lines {
		fields := strings.Fields(line)
		name := fields[0]
		e := &element{typ: fields[1], info: t.types[fields[1]]}
		for _, flag := range fields[2:] {
			switch flag[0] {
			case '*':
				e.many = true
			case '=':
				e.set = t.sets[flag[1:]]
			case '!':
				group := flag[1:]
				if group == "" {
					group = name
				}
				i := slices.IndexFunc(info.required, func(r required) bool { return r.name == group })
				if i < 0 {
					info.required = append(info.required, required{name: group})
					i = len(info.required) - 1
				}
				info.required[i].names = append(info.required[i].names, name)
			}
		}
		info.elements[name] = e
	}
}

// choice gives the names that an element with [x] can have.
func (info *typeInfo) choice(name string) []string {
	short, ok := strings.CutSuffix(name, "[x]")
	if !ok {
		return []string{name}
	}
	var names []string
	for n := range info.elements {
		if rest, ok := strings.CutPrefix(n, short); ok && rest != "" && 'A' <= rest[0] && rest[0] <= 'Z' {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}
