//go:build ignore

// This program makes r4.txt of the specification's own definitions, as published (CC0) in the Maven artifact
// ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4, which holds FHIR 4.0.1's profiles-resources.xml, profiles-types.xml, valuesets.xml and
// v3-codesystems.xml unchanged:
//
//	mvn dependency:get -Dartifact=ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:8.8.0
//	go run gen.go -jar ~/.m2/repository/ca/uhn/hapi/fhir/hapi-fhir-validation-resources-r4/8.8.0/hapi-fhir-validation-resources-r4-8.8.0.jar
package main

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"slices"
	"strings"
)

type value struct {
	Value string `xml:"value,attr"`
}

type element struct {
	Path             value  `xml:"path"`
	Min              value  `xml:"min"`
	Max              value  `xml:"max"`
	ContentReference value  `xml:"contentReference"`
	Types            []kind `xml:"type"`
	Binding          struct {
		Strength value `xml:"strength"`
		ValueSet value `xml:"valueSet"`
	} `xml:"binding"`
}

type kind struct {
	Code      value `xml:"code"`
	Extension []struct {
		URL      string `xml:"url,attr"`
		ValueURL value  `xml:"valueUrl"`
	} `xml:"extension"`
}

type definition struct {
	Type       value     `xml:"type"`
	Kind       value     `xml:"kind"`
	Abstract   value     `xml:"abstract"`
	Derivation value     `xml:"derivation"`
	Elements   []element `xml:"snapshot>element"`
}

type concept struct {
	Code     value     `xml:"code"`
	Concepts []concept `xml:"concept"`
}

type codeSystem struct {
	URL      value     `xml:"url"`
	Content  value     `xml:"content"`
	Concepts []concept `xml:"concept"`
}

type include struct {
	System    value     `xml:"system"`
	Concepts  []concept `xml:"concept"`
	Filters   []value   `xml:"filter"`
	ValueSets []value   `xml:"valueSet"`
}

type valueSet struct {
	URL      value     `xml:"url"`
	Includes []include `xml:"compose>include"`
	Excludes []include `xml:"compose>exclude"`
}

type bundle struct {
	Entries []struct {
		Definition *definition `xml:"resource>StructureDefinition"`
		CodeSystem *codeSystem `xml:"resource>CodeSystem"`
		ValueSet   *valueSet   `xml:"resource>ValueSet"`
	} `xml:"entry"`
}

// most is the size up to which a value set is written down. What is larger (languages, currencies) has no letter case to put right.
const most = 300

type maker struct {
	systems map[string]*codeSystem
	sets    map[string]*valueSet
	used    map[string][]string
}

func main() {
	log.SetFlags(0)
	jar := flag.String("jar", "", "the artifact")
	flag.Parse()
	z, err := zip.OpenReader(*jar)
	if err != nil {
		log.Fatal(err)
	}
	read := func(name string) (b bundle) {
		f, err := z.Open("org/hl7/fhir/r4/model/" + name)
		if err != nil {
			log.Fatal(err)
		}
		if err := xml.NewDecoder(f).Decode(&b); err != nil {
			log.Fatal(err)
		}
		return b
	}
	m := &maker{systems: map[string]*codeSystem{}, sets: map[string]*valueSet{}, used: map[string][]string{}}
	for _, name := range []string{"valueset/valuesets.xml", "valueset/v3-codesystems.xml"} {
		for _, e := range read(name).Entries {
			if e.CodeSystem != nil {
				m.systems[e.CodeSystem.URL.Value] = e.CodeSystem
			}
			if e.ValueSet != nil {
				m.sets[e.ValueSet.URL.Value] = e.ValueSet
			}
		}
	}
	types := map[string][]string{}
	for _, name := range []string{"profile/profiles-types.xml", "profile/profiles-resources.xml"} {
		for _, e := range read(name).Entries {
			if d := e.Definition; d != nil && d.Derivation.Value != "constraint" && (d.Kind.Value == "resource" || d.Kind.Value == "complex-type") && d.Abstract.Value != "true" {
				m.define(d, types)
			}
		}
	}
	var out bytes.Buffer
	fmt.Fprintln(&out, "# FHIR 4.0.1, made by gen.go of the specification's definitions (CC0); see there. A type, and below it its elements:")
	fmt.Fprintln(&out, "# (but for those that all resources or all types have) name, type, * many, ! required, !name[x] one of these is required, =value set of a required binding; then the value sets.")
	for _, name := range slices.Sorted(maps.Keys(types)) {
		fmt.Fprintln(&out, name)
		for _, line := range types[name] {
			fmt.Fprintln(&out, "\t"+line)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.used)) {
		fmt.Fprintln(&out, "="+name, strings.Join(m.used[name], " "))
	}
	if err := os.WriteFile("r4.txt", out.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}

func (m *maker) define(d *definition, types map[string][]string) {
	root, kindOf := d.Elements[0].Path.Value, "type"
	if d.Kind.Value == "resource" {
		kindOf = "resource"
		for _, e := range d.Elements {
			if e.Path.Value == root+".contained" {
				kindOf = "domain"
			}
		}
	}
	backbones := map[string]bool{}
	for _, e := range d.Elements {
		for _, t := range e.Types {
			if t.Code.Value == "BackboneElement" || t.Code.Value == "Element" {
				backbones[e.Path.Value] = true
			}
		}
	}
	types[root] = append(types[root], "@"+kindOf)
	for _, e := range d.Elements[1:] {
		at := strings.LastIndexByte(e.Path.Value, '.')
		parent, name := e.Path.Value[:at], e.Path.Value[at+1:]
		switch name {
		case "extension", "modifierExtension", "id":
			continue
		case "meta", "implicitRules", "language", "text", "contained":
			if parent == root && kindOf != "type" {
				continue
			}
		}
		if types[parent] == nil {
			types[parent] = []string{"@type"}
		}
		flags := ""
		if e.Max.Value != "1" {
			flags += " *"
		}
		required := e.Min.Value != "0"
		if e.ContentReference.Value != "" {
			if required {
				flags += " !"
			}
			types[parent] = append(types[parent], name+" "+strings.TrimPrefix(e.ContentReference.Value, "#")+flags)
			continue
		}
		short, choice := strings.CutSuffix(name, "[x]")
		for _, t := range e.Types {
			typ, own := t.Code.Value, flags
			for _, x := range t.Extension {
				if x.URL == "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type" {
					typ = x.ValueURL.Value
				}
			}
			if backbones[e.Path.Value] {
				typ = e.Path.Value
			}
			full := short
			if choice {
				full += strings.ToUpper(typ[:1]) + typ[1:]
			}
			switch {
			case required && choice:
				own += " !" + name
			case required:
				own += " !"
			}
			if typ == "code" && e.Binding.Strength.Value == "required" {
				url, _, _ := strings.Cut(e.Binding.ValueSet.Value, "|")
				if codes, ok := m.expand(url); ok && len(codes) > 0 && len(codes) <= most {
					set := url[strings.LastIndexByte(url, '/')+1:]
					m.used[set] = codes
					own += " =" + set
				}
			}
			types[parent] = append(types[parent], full+" "+typ+own)
		}
	}
}

// expand gives the codes of a value set; ok is false where that needs more than a list.
func (m *maker) expand(url string) (codes []string, ok bool) {
	set := m.sets[url]
	if set == nil || len(set.Excludes) > 0 {
		return nil, false
	}
	found := map[string]bool{}
	for _, in := range set.Includes {
		if len(in.Filters) > 0 {
			return nil, false
		}
		for _, other := range in.ValueSets {
			codes, ok := m.expand(other.Value)
			if !ok || len(in.ValueSets) > 1 || in.System.Value != "" {
				return nil, false
			}
			for _, c := range codes {
				found[c] = true
			}
		}
		if in.System.Value == "" {
			continue
		}
		concepts := in.Concepts
		if len(concepts) == 0 {
			system := m.systems[in.System.Value]
			if system == nil || system.Content.Value != "complete" {
				return nil, false
			}
			concepts = system.Concepts
		}
		collect(concepts, found)
	}
	return slices.Sorted(maps.Keys(found)), true
}

func collect(concepts []concept, into map[string]bool) {
	for _, c := range concepts {
		into[c.Code.Value] = true
		collect(c.Concepts, into)
	}
}
