package quirks_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/quirks"
)

var update = flag.Bool("update", false, "write schema.json and SERVERS.md anew")

// golden compares a generated file with what is there, or writes it.
func golden(t *testing.T, name string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(filepath.Clean(name))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is old: go test ./quirks -update writes it anew (-want +got):\n%s", name, diff)
	}
}

type object = map[string]any

// extras are what the loader wants of a value beyond its type: by "Type" or "Type.field". Durations, dates and the like are texts of a form.
var extras = map[string]object{
	"Entry":              {"required": []string{"id", "name"}, "dependentRequired": object{"set": []string{"match", "sources"}}},
	"Entry.id":           {"pattern": `^[a-z0-9][a-z0-9-]{0,63}$`},
	"Entry.name":         {"minLength": 1},
	"Match":              {"anyOf": []object{{"required": []string{"baseURL"}}, {"required": []string{"software"}}, {"required": []string{"publisher"}}, {"required": []string{"implementation"}}}},
	"Match.baseURL":      {"pattern": `^(https?:)?//[^?#@\s\\]+$`},
	"Source":             {"required": []string{"says", "confidence"}, "if": object{"properties": object{"confidence": object{"const": "observed"}}}, "then": object{"required": []string{"seen"}}, "else": object{"required": []string{"url"}}},
	"Source.id":          {"pattern": `^[a-z0-9][a-z0-9-]{0,63}$`},
	"Source.about":       {"pattern": `^[a-z0-9][a-z0-9-]{0,63}$`},
	"Source.url":         {"pattern": `^https?://`},
	"Source.says":        {"minLength": 1},
	"Source.seen":        {"pattern": `^20[0-9][0-9]-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?$`},
	"Note":               {"required": []string{"source", "why"}},
	"Note.why":           {"minLength": 1},
	"Set.accept":         {"pattern": `[Jj][Ss][Oo][Nn]`},
	"Set.types":          {"propertyNames": object{"pattern": `^(\*|[A-Z][A-Za-z]{1,63})$`}},
	"Set.redacted":       {"items": object{"type": "string", "pattern": `^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`}},
	"Set.headers":        {"maxItems": 20},
	"Set.params":         {"maxItems": 20},
	"Header":             {"required": []string{"name"}, "oneOf": []object{{"required": []string{"value"}}, {"required": []string{"var"}}, {"required": []string{"generate"}}}},
	"Header.name":        {"pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"},
	"Param":              {"required": []string{"name"}, "oneOf": []object{{"required": []string{"value"}}, {"required": []string{"var"}}}},
	"Param.name":         {"pattern": `^[A-Za-z0-9_-][A-Za-z0-9_-]{0,99}$`},
	"Type.pageSize":      {"minimum": 0, "maximum": 10_000},
	"Paging.cap":         {"minimum": 1},
	"Paging":             {"if": object{"required": []string{"style"}, "properties": object{"style": object{"enum": []string{"page", "offset"}}}}, "then": object{"required": []string{"pageParam"}}},
	"ErrorRule":          {"required": []string{"class"}, "anyOf": []object{{"required": []string{"status"}}, {"required": []string{"issue"}}, {"required": []string{"code"}}, {"required": []string{"contains"}}}},
	"ErrorRule.status":   {"items": object{"type": "integer", "minimum": 200, "maximum": 599, "not": object{"const": 401}}},
	"ErrorRule.contains": {"minLength": 4, "maxLength": 500},
	"Batch.maxEntries":   {"minimum": 1, "maximum": 1000},
	"Rate.perSecond":     {"exclusiveMinimum": 0},
	"Rate.concurrency":   {"minimum": 1},
	"Limit":              {"required": []string{"requests", "per"}},
	"Limit.requests":     {"minimum": 1},
	"Limit.classes":      {"items": object{"enum": []string{"search", "read"}}},
	"WaitHeader":         {"required": []string{"name", "unit"}},
}

// source is what is to be known of the package that only its text tells: comments and the values of its words.
type source struct {
	docs  map[string]string   // by "Type" and "Type.Field"
	words map[string][]string // by type: its constants
}

func readSource(t *testing.T) source {
	t.Helper()
	s := source{docs: map[string]string{}, words: map[string][]string{}}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				s.decl(g)
			}
		}
	}
	return s
}

func (s source) decl(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		switch x := spec.(type) {
		case *ast.TypeSpec:
			doc := x.Doc
			if doc == nil {
				doc = g.Doc
			}
			s.docs[x.Name.Name] = plain(doc.Text())
			if st, ok := x.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					text := f.Doc.Text()
					if text == "" {
						text = f.Comment.Text()
					}
					for _, n := range f.Names {
						s.docs[x.Name.Name+"."+n.Name] = plain(text)
					}
				}
			}
		case *ast.ValueSpec:
			id, ok := x.Type.(*ast.Ident)
			if !ok {
				continue
			}
			for _, v := range x.Values {
				if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if word, err := strconv.Unquote(lit.Value); err == nil {
						s.words[id.Name] = append(s.words[id.Name], word)
					}
				}
			}
		}
	}
}

var docLink = regexp.MustCompile(`\[\*?([A-Z][A-Za-z.]*)\]`)

// plain makes a comment a line of text.
func plain(text string) string {
	return docLink.ReplaceAllString(strings.Join(strings.Fields(text), " "), "$1")
}

func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	out := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out[name] = f
	}
	return out
}

// describe makes the schema of a type, and puts those of named structs into defs.
func (s source) describe(t reflect.Type, defs object) object {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return object{"type": "string", "pattern": `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)`}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.describe(t.Elem(), defs)
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.String:
		out := object{"type": "string", "maxLength": 2000}
		if words := s.words[t.Name()]; len(words) > 0 {
			out = object{"enum": words}
		}
		return out
	case reflect.Slice:
		return object{"type": "array", "items": s.describe(t.Elem(), defs), "maxItems": 200}
	case reflect.Map:
		out := object{"type": "object", "additionalProperties": s.describe(t.Elem(), defs), "maxProperties": 200}
		if words := s.words[t.Key().Name()]; len(words) > 0 {
			out["propertyNames"] = object{"enum": words}
		}
		return out
	case reflect.Struct:
	default:
		panic("no schema for " + t.String())
	}
	ref := object{"$ref": "#/$defs/" + t.Name()}
	if _, have := defs[t.Name()]; have {
		return ref
	}
	def := object{"type": "object", "additionalProperties": false, "description": s.docs[t.Name()]}
	defs[t.Name()] = def
	properties := object{}
	for name, f := range fieldsOf(t) {
		p := s.describe(f.Type, defs)
		maps.Copy(p, extras[t.Name()+"."+name])
		if doc := s.docs[t.Name()+"."+f.Name]; doc != "" {
			p["description"] = doc
		}
		properties[name] = p
	}
	def["properties"] = properties
	maps.Copy(def, extras[t.Name()])
	return ref
}

// TestSchemaIsMadeOfTheTypes: schema.json says what the types say, with their comments.
func TestSchemaIsMadeOfTheTypes(t *testing.T) {
	t.Parallel()
	s := readSource(t)
	defs := object{}
	entry := s.describe(reflect.TypeFor[quirks.Entry](), defs)
	schema := object{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "A quirk file of fhirsync: one entry, or a list of them",
		"description": "What one vendor's product or one server does, and how it is known: see the documentation of the Go package quirks. Its loader is stricter than a schema can be: it also wants evidence for each single field.",
		"$defs":       defs,
		"anyOf":       []object{entry, {"type": "array", "items": entry}},
	}
	for key := range extras {
		typ, field, _ := strings.Cut(key, ".")
		def, _ := defs[typ].(object)
		properties, _ := def["properties"].(object)
		if _, ok := properties[field]; def == nil || field != "" && !ok {
			t.Errorf("extras has %s, which is no field", key)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(schema); err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.json", b.Bytes())
}

func readSchema(t *testing.T) object {
	t.Helper()
	raw, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s object
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchemaAndTypesAgree: each field is a property and each property a field, of the same kind, whoever wrote schema.json.
func TestSchemaAndTypesAgree(t *testing.T) {
	t.Parallel()
	schema := readSchema(t)
	defs, _ := schema["$defs"].(object)
	seen := map[string]bool{}
	var walk func(t *testing.T, typ reflect.Type)
	walk = func(t *testing.T, typ reflect.Type) {
		t.Helper()
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ.Name()] {
			return
		}
		seen[typ.Name()] = true
		def, _ := defs[typ.Name()].(object)
		properties, _ := def["properties"].(object)
		fields := fieldsOf(typ)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(fields)), slices.Sorted(maps.Keys(properties))); diff != "" {
			t.Errorf("%s: fields and properties (-type +schema):\n%s", typ.Name(), diff)
		}
		if def["additionalProperties"] != false {
			t.Errorf("%s lets unknown fields pass", typ.Name())
		}
		for name, f := range fields {
			p, _ := properties[name].(object)
			if got, want := kindIn(p), kindOf(f.Type); got != want {
				t.Errorf("%s.%s is %s in the schema and %s in Go", typ.Name(), name, got, want)
			}
			walk(t, f.Type)
		}
	}
	walk(t, reflect.TypeFor[quirks.Entry]())
	if diff := cmp.Diff(slices.Sorted(maps.Keys(seen)), slices.Sorted(maps.Keys(defs))); diff != "" {
		t.Errorf("types and definitions (-type +schema):\n%s", diff)
	}
}

func kindOf(t reflect.Type) string {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return "string"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Slice:
		return "array of " + kindOf(t.Elem())
	case reflect.Map:
		return "map of " + kindOf(t.Elem())
	case reflect.Struct:
		return t.Name()
	case reflect.Bool:
		return "boolean"
	case reflect.Int:
		return "integer"
	case reflect.Float64:
		return "number"
	default:
		return "string"
	}
}

func kindIn(p object) string {
	if ref, ok := p["$ref"].(string); ok {
		return strings.TrimPrefix(ref, "#/$defs/")
	}
	if _, ok := p["enum"]; ok {
		return "string"
	}
	inner := func(key string) string { o, _ := p[key].(object); return kindIn(o) }
	switch p["type"] {
	case "array":
		return "array of " + inner("items")
	case "object":
		return "map of " + inner("additionalProperties")
	}
	return fmt.Sprint(p["type"])
}

// schemaChecker knows the keywords that schema.json uses, and fails on any other.
type schemaChecker struct {
	defs object
}

var errSchema = errors.New("does not fit the schema")

func (c schemaChecker) bad(path, why string) error {
	return fmt.Errorf("%w: %s %s", errSchema, path, why)
}

func (c schemaChecker) check(s object, v any, path string) error {
	for keyword, want := range s {
		if err := c.keyword(s, keyword, want, v, path); err != nil {
			return err
		}
	}
	return nil
}

func (c schemaChecker) keyword(s object, keyword string, want, v any, path string) error {
	text, isText := v.(string)
	number, isNumber := v.(float64)
	list, isList := v.([]any)
	members, isObject := v.(object)
	limit, _ := want.(float64)
	sub, _ := want.(object)
	fail := func(why string) error { return c.bad(path, why) }
	switch keyword {
	case "$schema", "$defs", "title", "description", "then", "else":
		return nil
	case "$ref":
		ref, _ := want.(string)
		def, ok := c.defs[strings.TrimPrefix(ref, "#/$defs/")].(object)
		if !ok {
			return fmt.Errorf("%s: no definition of %s", path, ref)
		}
		return c.check(def, v, path)
	case "type":
		ok := false
		switch want {
		case "string":
			ok = isText
		case "number":
			ok = isNumber
		case "integer":
			ok = isNumber && number == float64(int(number))
		case "boolean":
			_, ok = v.(bool)
		case "array":
			ok = isList
		case "object":
			ok = isObject
		}
		if !ok {
			return fail(fmt.Sprintf("is not of type %v", want))
		}
	case "enum":
		if all, _ := want.([]any); !slices.ContainsFunc(all, func(w any) bool { return reflect.DeepEqual(w, v) }) {
			return fail("is none of the words")
		}
	case "const":
		if !reflect.DeepEqual(want, v) {
			return fail("is another value")
		}
	case "pattern":
		p, _ := want.(string)
		if re, err := regexp.Compile(p); err != nil {
			return err
		} else if isText && !re.MatchString(text) {
			return fail("does not match " + p)
		}
	case "minLength":
		if isText && len([]rune(text)) < int(limit) {
			return fail("is too short")
		}
	case "maxLength":
		if isText && len([]rune(text)) > int(limit) {
			return fail("is too long")
		}
	case "minimum":
		if isNumber && number < limit {
			return fail("is too small")
		}
	case "exclusiveMinimum":
		if isNumber && number <= limit {
			return fail("is too small")
		}
	case "maximum":
		if isNumber && number > limit {
			return fail("is too large")
		}
	case "maxItems":
		if isList && len(list) > int(limit) {
			return fail("is too long")
		}
	case "maxProperties":
		if isObject && len(members) > int(limit) {
			return fail("has too many members")
		}
	case "items":
		for i, e := range list {
			if err := c.check(sub, e, path+"["+strconv.Itoa(i)+"]"); err != nil {
				return err
			}
		}
	case "required":
		names, _ := want.([]any)
		for _, n := range names {
			name, _ := n.(string)
			if _, ok := members[name]; isObject && !ok {
				return fail("lacks " + name)
			}
		}
	case "dependentRequired":
		for name, needs := range sub {
			if _, there := members[name]; there {
				if err := c.keyword(s, "required", needs, v, path); err != nil {
					return err
				}
			}
		}
	case "properties":
		for name, p := range sub {
			if m, there := members[name]; there {
				o, _ := p.(object)
				if err := c.check(o, m, path+"."+name); err != nil {
					return err
				}
			}
		}
	case "additionalProperties":
		known, _ := s["properties"].(object)
		for name, m := range members {
			if _, ok := known[name]; ok {
				continue
			}
			if want == false {
				return fail("has an unknown field " + name)
			}
			if err := c.check(sub, m, path+"."+name); err != nil {
				return err
			}
		}
	case "propertyNames":
		for name := range members {
			if err := c.check(sub, name, path+"."+name); err != nil {
				return err
			}
		}
	case "not":
		if c.check(sub, v, path) == nil {
			return fail("is what it must not be")
		}
	case "anyOf", "oneOf":
		all, _ := want.([]any)
		n := 0
		var first error
		for _, a := range all {
			o, _ := a.(object)
			if err := c.check(o, v, path); err == nil {
				n++
			} else if first == nil {
				first = err
			}
		}
		if n == 0 {
			return first
		}
		if keyword == "oneOf" && n > 1 {
			return fail("has more than one of what excludes each other")
		}
	case "if":
		branch := "else"
		if c.check(sub, v, path) == nil {
			branch = "then"
		}
		if o, ok := s[branch].(object); ok {
			return c.check(o, v, path)
		}
	default:
		return fmt.Errorf("%s: a keyword that the test does not know: %s", path, keyword)
	}
	return nil
}

func fitsSchema(t *testing.T, schema object, raw []byte) error {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	defs, _ := schema["$defs"].(object)
	return schemaChecker{defs}.check(schema, v, "file")
}

// TestShippedDataFitsTheSchema, each file of it.
func TestShippedDataFitsTheSchema(t *testing.T) {
	t.Parallel()
	schema := readSchema(t)
	files, err := fs.Glob(quirks.Shipped(), "*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		raw, err := fs.ReadFile(quirks.Shipped(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := fitsSchema(t, schema, raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
