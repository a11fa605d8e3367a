package quirks_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/quirks"
)

// guide is the documentation of the package.
func guide(t *testing.T) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	return file.Doc.Text()
}

// TestGuideShowsTheFileThatIsTested: the file in the guide is that of testdata, which is loaded, applied and synced with.
func TestGuideShowsTheFileThatIsTested(t *testing.T) {
	t.Parallel()
	text := guide(t)
	_, after, ok := strings.Cut(text, "\n\t{\n")
	inside, _, closed := strings.Cut(after, "\n\t}\n")
	if !ok || !closed {
		t.Fatal("there is no JSON in the guide")
	}
	shown := strings.ReplaceAll("\n\t{\n"+inside+"\n\t}", "\n\t", "\n")
	kept, err := os.ReadFile("testdata/own/harbor-health.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(kept)), strings.TrimSpace(shown)); diff != "" {
		t.Errorf("testdata and guide differ (-testdata +guide):\n%s", diff)
	}
	if err := fitsSchema(t, readSchema(t), kept); err != nil {
		t.Error(err)
	}
	entries, err := quirks.Parse("guide", []byte(shown))
	if err != nil {
		t.Fatal(err)
	}
	r, err := quirks.Default().With(entries...)
	if err != nil {
		t.Fatal(err)
	}
	for base, caps := range map[string]*quirks.Capabilities{
		"https://west.harbor.example/fhir/r4": nil,
		"https://gateway.example.org/r4":      says("Harbor FHIR 3.2", "", ""),
	} {
		set, found := r.Lookup(base, caps)
		if diff := cmp.Diff([]string{"harbor-health"}, idsOf(found)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", base, diff)
		}
		if *set.Type("Observation").PageSize != 50 || *set.Type("Observation").FanOut.Param != "category" || set.Type("Condition").FanOut.Param != nil {
			t.Errorf("%s: %+v", base, set.Types)
		}
	}
}

// TestGuideNamesFieldsThatExist: what the section "Which field" names is in the Set.
func TestGuideNamesFieldsThatExist(t *testing.T) {
	t.Parallel()
	_, section, ok := strings.Cut(guide(t), "# Which field\n")
	section, _, _ = strings.Cut(section, "\n# ")
	if !ok {
		t.Fatal("there is no such section")
	}
	defs, _ := readSchema(t)["$defs"].(object)
	named := 0
	for _, path := range regexp.MustCompile(`\b(types|paging|everything|batch|rate|references)\.[A-Za-z*]+(\.[A-Za-z]+)?`).FindAllString(section, -1) {
		at := "Set"
		for step := range strings.SplitSeq(path, ".") {
			if step == "TYPE" || step == "*" {
				continue
			}
			def, _ := defs[at].(object)
			properties, _ := def["properties"].(object)
			p, ok := properties[step].(object)
			if !ok {
				t.Errorf("%s: %s has no %s", path, at, step)
				break
			}
			at = strings.TrimPrefix(strings.TrimPrefix(kindIn(p), "map of "), "array of ")
		}
		named++
	}
	if named < 15 {
		t.Errorf("only %d fields are named", named)
	}
}

// TestSchemaAndLoaderAgree: what the one refuses the other refuses as well, as far as a schema can tell.
func TestSchemaAndLoaderAgree(t *testing.T) {
	t.Parallel()
	schema := readSchema(t)
	good, err := os.ReadFile("testdata/own/harbor-health.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(e object){
		"nothing spoiled":      func(object) {},
		"unknown field":        func(e object) { e["nickname"] = "x" },
		"unknown in set":       func(e object) { e["set"].(object)["header"] = []any{} },
		"no id":                func(e object) { delete(e, "id") },
		"id in capitals":       func(e object) { e["id"] = "Harbor" },
		"no name":              func(e object) { e["name"] = "" },
		"set without match":    func(e object) { delete(e, "match") },
		"set without sources":  func(e object) { delete(e, "sources") },
		"match of nothing":     func(e object) { e["match"] = []any{object{"version": "3"}} },
		"base URL no URL":      func(e object) { e["match"] = []any{object{"baseURL": "harbor.example"}} },
		"wrong type":           func(e object) { e["set"].(object)["headers"] = "X-Tenant" },
		"null":                 func(e object) { e["set"].(object)["accept"] = nil },
		"bad enum":             func(e object) { e["set"].(object)["searchMethod"] = "put" },
		"bad enum in a map":    func(e object) { e["set"].(object)["outcomes"] = object{"4119": "fine"} },
		"bad interaction":      func(e object) { e["set"].(object)["timeouts"] = object{"everything": "5m"} },
		"accept of XML":        func(e object) { e["set"].(object)["accept"] = "application/fhir+xml" },
		"header of two values": func(e object) { header(e)["value"] = "1" },
		"header of no value":   func(e object) { delete(header(e), "var") },
		"header no token":      func(e object) { header(e)["name"] = "X Tenant" },
		"page size negative":   func(e object) { e["set"].(object)["types"] = object{"*": object{"pageSize": -1}} },
		"page size fraction":   func(e object) { e["set"].(object)["types"] = object{"*": object{"pageSize": 1.5}} },
		"type in small":        func(e object) { e["set"].(object)["types"] = object{"observation": object{"pageSize": 1}} },
		"rule without class":   func(e object) { delete(rule(e), "class") },
		"rule about 401":       func(e object) { rule(e)["status"] = []any{401} },
		"rule for everything":  func(e object) { e["set"].(object)["errors"] = []any{object{"class": "empty"}} },
		"rule of a short text": func(e object) { rule(e)["contains"] = "er" },
		"rate of nothing": func(e object) {
			e["set"].(object)["rate"] = object{"limits": []any{object{"requests": 0, "per": "1m"}}}
		},
		"time without unit": func(e object) {
			e["set"].(object)["rate"] = object{"limits": []any{object{"requests": 5, "per": "60"}}}
		},
		"pages without param": func(e object) { e["set"].(object)["paging"] = object{"style": "page"} },
		"no confidence":       func(e object) { delete(fact(e), "confidence") },
		"made-up confidence":  func(e object) { fact(e)["confidence"] = "sure" },
		"no address":          func(e object) { delete(fact(e), "url") },
		"address of no kind":  func(e object) { fact(e)["url"] = "see the wiki" },
		"says nothing":        func(e object) { delete(fact(e), "says") },
		"no such date":        func(e object) { fact(e)["seen"] = "November 2026" },
		"note without why":    func(e object) { delete(note(e), "why") },
		"note without source": func(e object) { delete(note(e), "source") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var e object
			if err := json.Unmarshal(good, &e); err != nil {
				t.Fatal(err)
			}
			spoil(e)
			raw, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			_, loader := quirks.Parse("spoiled.json", raw)
			bySchema := fitsSchema(t, schema, raw)
			if fine := name == "nothing spoiled"; (loader == nil) != fine || (bySchema == nil) != fine {
				t.Errorf("loader: %v\nschema: %v", loader, bySchema)
			}
		})
	}
}

func first(e object, list string) object {
	all, _ := e[list].([]any)
	o, _ := all[0].(object)
	return o
}

func header(e object) object {
	set, _ := e["set"].(object)
	return first(set, "headers")
}

func rule(e object) object {
	set, _ := e["set"].(object)
	return first(set, "errors")
}

func fact(e object) object { return first(e, "sources") }
func note(e object) object { return first(e, "notes") }
