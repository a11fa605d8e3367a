package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// settings are what the flags say.
type settings struct {
	base, name, patient string
	out, report         string
	token               string
	header              http.Header
	strategy            fhirsync.Strategy
	types               []string
	full                bool
	quirks              *quirks.Registry
	vars                map[string]string
	namespace           string
	space               *idspace.Space // nil without a namespace
}

// server is the server to be asked. Token and headers go to its own origin only: the library sees to that.
func (s *settings) server() fhirsync.Server {
	srv := fhirsync.Server{Name: s.name, BaseURL: s.base, Header: s.header, Vars: s.vars}
	if s.token != "" {
		srv.TokenSource = oauth2.StaticTokenSource(&oauth2.Token{AccessToken: s.token, TokenType: "Bearer"})
	}
	return srv
}

// addSpace makes the space that -namespace names. The server goes by that name too, which stays when its address changes.
func (s *settings) addSpace() (err error) {
	if s.namespace == "" {
		return nil
	}
	s.name = s.namespace
	s.space, err = idspace.New(idspace.Options{Name: s.namespace, Bases: []string{s.base}})
	return err
}

// into gives the store that a sync puts into, which is store itself without -namespace.
func (s *settings) into(store fhirsync.Store) fhirsync.Store {
	if s.space == nil {
		return store
	}
	return fhirsync.Namespaced(store, s.space)
}

// strategies are the values of -strategy.
var strategies = []fhirsync.Strategy{fhirsync.Auto(), fhirsync.SearchByType(), fhirsync.Everything()}

func strategyNames() string {
	names := make([]string, len(strategies))
	for i, s := range strategies {
		names[i] = s.Name()
	}
	return strings.Join(names, ", ")
}

var errHelp = errors.New("help was asked for")

// headerFlag collects the values of -header. It leaves checking them to parse, because package flag prints a value that it does not like.
type headerFlag []string

func (h *headerFlag) String() string { return "" }

func (h *headerFlag) Set(line string) error {
	*h = append(*h, line)
	return nil
}

// parse understands the arguments. No error quotes a value that may be secret.
func parse(args []string, token string, help io.Writer) (*settings, error) {
	s := &settings{strategy: fhirsync.Auto(), header: http.Header{}}
	var lines, vars headerFlag
	var quirkFile string
	var strategy, types string
	fs := flag.NewFlagSet("pull", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // it would print arguments; what is wrong is said below.
	fs.StringVar(&s.base, "base", "", "service base `URL` of the FHIR server; without it a server with a synthetic patient is started")
	fs.StringVar(&s.patient, "patient", "", "logical `id` of the Patient")
	fs.StringVar(&s.out, "out", "", "`folder` for the NDJSON files; without it a new temporary one")
	fs.StringVar(&s.report, "report", "", "`file` for the report as JSON")
	fs.StringVar(&s.token, "token", "", "access `token`; better put into the environment as FHIRSYNC_TOKEN")
	fs.Var(&lines, "header", "`'Name: value'` to be sent to the server; may be repeated")
	fs.StringVar(&strategy, "strategy", s.strategy.Name(), "how to ask: "+strategyNames())
	fs.StringVar(&types, "types", "", "only these resource `types`, separated by commas")
	fs.BoolVar(&s.full, "full", false, "start over instead of going on with an unfinished run")
	fs.StringVar(&s.namespace, "namespace", "", "`name` of your own for the server; every resource gets an id that no other server's has, and references are rewritten to it")
	fs.StringVar(&quirkFile, "quirks", "", "`file` with entries for servers that the library does not know, or knows less well")
	fs.Var(&vars, "var", "`NAME=VALUE` for a slot that quirks name, a client id say; may be repeated")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(help, "Usage: pull [flags]")
		fs.SetOutput(help)
		fs.PrintDefaults()
		return nil, errHelp
	case err != nil && strings.HasPrefix(err.Error(), "bad flag syntax"):
		return nil, errors.New("an argument that is no flag, though it looks like one")
	case err != nil:
		return nil, err
	case fs.NArg() > 0:
		return nil, errors.New("arguments that belong to no flag; a header with spaces needs quotes")
	case s.base != "" && s.patient == "":
		return nil, errors.New("-base needs -patient")
	case s.base == "" && s.patient != "":
		return nil, errors.New("-patient needs -base")
	}
	if err := s.addHeaders(lines); err != nil {
		return nil, err
	}
	if err := s.addQuirks(quirkFile, vars); err != nil {
		return nil, err
	}
	own := s.header.Get("Authorization") != ""
	if own && s.token != "" {
		return nil, errors.New("-token and an Authorization header exclude each other")
	}
	if s.token == "" && !own {
		s.token = strings.TrimSpace(token)
	}
	for t := range strings.SplitSeq(types, ",") {
		if t = strings.TrimSpace(t); t != "" {
			s.types = append(s.types, t)
		}
	}
	for _, known := range strategies {
		if known.Name() == strategy {
			s.strategy = known
			return s, nil
		}
	}
	return nil, fmt.Errorf("-strategy is one of %s", strategyNames())
}

// addQuirks reads the file of -quirks, whose entries come on top of those of the library, and the values of -var.
func (s *settings) addQuirks(file string, vars []string) error {
	for _, v := range vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return errors.New("-var wants NAME=VALUE")
		}
		if s.vars == nil {
			s.vars = map[string]string{}
		}
		s.vars[name] = value
	}
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	entries, err := quirks.Parse(file, data)
	if err != nil {
		return err
	}
	s.quirks, err = quirks.Default().With(entries...)
	return err
}

func (s *settings) addHeaders(lines []string) error {
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		plain := func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
		if !ok || name == "" || strings.ContainsAny(name, " \t") || strings.ContainsFunc(name+value, plain) {
			return errors.New("-header wants 'Name: value'")
		}
		s.header.Add(name, value)
	}
	return nil
}
