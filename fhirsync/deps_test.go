package fhirsync_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/fhirsync/fhirsync-go"

// allowedModules is all that production code of the root module may use. Each one more is downloaded, audited and kept up to date by
// everybody who imports this library; what needs a driver or a large library lives in a module of its own.
var allowedModules = map[string]string{
	"github.com/hashicorp/go-retryablehttp": "retries",
	"github.com/hashicorp/go-cleanhttp":     "comes with go-retryablehttp",
	"golang.org/x/time":                     "rate",
	"golang.org/x/oauth2":                   "token sources",
}

// testHelpers are test helpers by trade: they may use package testing, and nothing that is linked into a user's program may use them.
var testHelpers = []string{"/fhirsync/storetest", "/fhirsync/strategytest", "/fhirsync/fhirtest"}

// importRules say who may not import whom, and why. The standard library is everybody's.
var importRules = []struct {
	from   []string // packages below these
	never  func(path string) bool
	reason string
}{
	{
		[]string{"/refs", "/ratelimit", "/quirks", "/idspace"},
		func(p string) bool { return below(p, "/fhirsync") },
		"refs, ratelimit, quirks and idspace speak plain types and stay useful alone: they must not import fhirsync",
	},
	{
		[]string{"/refs"},
		func(p string) bool { return below(p, "/ratelimit") || below(p, "/quirks") || below(p, "/idspace") },
		"refs must not import the other leaves",
	},
	{
		[]string{"/ratelimit"},
		func(p string) bool { return below(p, "/refs") || below(p, "/quirks") || below(p, "/idspace") },
		"ratelimit must not import the other leaves",
	},
	{
		[]string{"/quirks"},
		func(p string) bool { return below(p, "/refs") || below(p, "/ratelimit") || below(p, "/idspace") },
		"quirks must not import the other leaves",
	},
	{
		[]string{"/idspace"},
		func(p string) bool { return below(p, "/ratelimit") || below(p, "/quirks") },
		"idspace may import refs and no other leaf",
	},
	{
		[]string{"/internal"},
		func(p string) bool { return !below(p, "/internal") },
		"the packages in /internal are for all others: they import the standard library only",
	},
	{
		[]string{"/fhirsync/fhirtest"},
		func(p string) bool { return !below(p, "/internal") && !below(p, "/fhirsync/fhirtest") },
		"fhirtest imports the standard library and internal packages only, so that any test can use it and what it knows of a patient does not come from the code under test",
	},
}

// below tells whether a package is the one at dir of this module, or in a folder below it.
func below(path, dir string) bool {
	return path == module+dir || strings.HasPrefix(path, module+dir+"/")
}

func anyBelow(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return below(path, dir) })
}

type pkg struct {
	ImportPath string
	Standard   bool
	Module     *struct{ Path string }
	Imports    []string
	ImportMap  map[string]string
}

// production lists the packages of the root module and everything that they import, without tests. Dependencies can hide behind build
// constraints, so it is asked for each kind of system.
func production(t *testing.T, goos string) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Module,Imports,ImportMap", "./...")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	all := map[string]pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		for i, imported := range p.Imports {
			if mapped, ok := p.ImportMap[imported]; ok {
				p.Imports[i] = mapped
			}
		}
		all[p.ImportPath] = p
	}
}

// chain gives the shortest way by which a package reaches one that is bad; nil if there is none.
func chain(all map[string]pkg, from string, bad func(p pkg) bool) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at != from && bad(all[at]) {
			var way []string
			for ; at != ""; at = before[at] {
				way = append(way, at)
			}
			slices.Reverse(way)
			return way
		}
		for _, next := range all[at].Imports {
			if _, seen := before[next]; !seen {
				before[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func TestProductionCodeReachesNothingElse(t *testing.T) {
	t.Parallel()
	for _, goos := range []string{"linux", "windows", "darwin"} {
		t.Run(goos, func(t *testing.T) {
			t.Parallel()
			all := production(t, goos)
			checked := 0
			for path, p := range all {
				if p.Module == nil || p.Module.Path != module || below(path, "/examples") {
					continue
				}
				checked++
				for _, problem := range problems(all, path) {
					t.Error(problem)
				}
			}
			if checked < 5 {
				t.Errorf("only %d packages were looked at", checked)
			}
		})
	}
}

// problems says what is wrong with the imports of one package, and by which way.
func problems(all map[string]pkg, path string) []string {
	var out []string
	say := func(way []string, reason string) {
		if way != nil {
			out = append(out, reason+"\n\t"+strings.Join(way, "\n\t-> "))
		}
	}
	say(chain(all, path, func(p pkg) bool {
		if p.Standard || p.Module == nil || p.Module.Path == module {
			return false
		}
		_, ok := allowedModules[p.Module.Path]
		return !ok
	}), "a dependency that everybody who imports this library would have to take; if there is no way without it, it belongs into a module of its own:")
	if !anyBelow(path, testHelpers) {
		say(chain(all, path, func(p pkg) bool { return p.ImportPath == "testing" || strings.HasPrefix(p.ImportPath, "testing/") }),
			"package testing would be linked into users' programs, with its flags:")
		say(chain(all, path, func(p pkg) bool { return anyBelow(p.ImportPath, testHelpers) }),
			"test helpers would be linked into users' programs:")
	}
	for _, rule := range importRules {
		if anyBelow(path, rule.from) {
			say(chain(all, path, func(p pkg) bool { return rule.never(p.ImportPath) && !p.Standard }), rule.reason+":")
		}
	}
	return out
}

// The test above would be of no use if it could not fail.
func TestForbiddenImportsAreFound(t *testing.T) {
	t.Parallel()
	of := func(path string, imports ...string) pkg {
		p := pkg{ImportPath: path, Imports: imports, Standard: !strings.Contains(path, ".")}
		if !p.Standard {
			name := path
			if below(path, "") {
				name = module
			}
			p.Module = &struct{ Path string }{name}
		}
		return p
	}
	for _, c := range []struct {
		from string
		want string
		pkgs []pkg
	}{
		{module + "/fhirsync", "would have to take", []pkg{of(module+"/fhirsync", module+"/refs"), of(module+"/refs", "example.org/big"), of("example.org/big")}},
		{module + "/fhirsync", "with its flags", []pkg{of(module+"/fhirsync", "testing"), of("testing")}},
		{module + "/fhirsync/store/x", "test helpers", []pkg{of(module+"/fhirsync/store/x", module+"/fhirsync/fhirtest"), of(module + "/fhirsync/fhirtest")}},
		{module + "/refs", "must not import fhirsync", []pkg{of(module+"/refs", module+"/fhirsync/internal/x"), of(module + "/fhirsync/internal/x")}},
		{module + "/quirks", "must not import the other leaves", []pkg{of(module+"/quirks", module+"/refs"), of(module + "/refs")}},
		{module + "/internal/jsonscan", "standard library only", []pkg{of(module+"/internal/jsonscan", "golang.org/x/time/rate"), of("golang.org/x/time/rate")}},
		{module + "/fhirsync/fhirtest", "fhirtest imports", []pkg{of(module+"/fhirsync/fhirtest", module+"/refs"), of(module + "/refs")}},
		{module + "/fhirsync", "", []pkg{of(module+"/fhirsync", module+"/refs", "net/http"), of(module + "/refs"), of("net/http")}},
	} {
		all := map[string]pkg{}
		for _, p := range c.pkgs {
			all[p.ImportPath] = p
		}
		found := strings.Join(problems(all, c.from), "\n")
		if !strings.Contains(found, c.want) || c.want == "" && found != "" {
			t.Errorf("%s: %q is not what is said: %q", c.from, c.want, found)
		}
	}
}
