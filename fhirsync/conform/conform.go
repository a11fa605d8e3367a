package conform

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Versions says what becomes of meta.versionId and meta.lastUpdated, which are those of the server that the resource comes from.
type Versions int

// What becomes of them.
const (
	KeepVersions      Versions = iota // they stay
	DropVersions                      // they are taken away
	VersionsExtension                 // they become extensions of meta: [VersionIDExtension] and [LastUpdatedExtension]
)

// The extensions of meta that [VersionsExtension] makes, with valueString and valueString: what stood there may be no instant.
const (
	VersionIDExtension   = "https://github.com/fhirsync/fhirsync-go/conform/versionId"
	LastUpdatedExtension = "https://github.com/fhirsync/fhirsync-go/conform/lastUpdated"
)

// Claims says what becomes of meta.profile. Tags and security labels always stay. In resources inside of others (contained ones, those of a
// Bundle's entries) no claim is ever made: there it is kept, or removed.
type Claims int

// What becomes of them.
const (
	// KeepClaims: they stay, but for those of Options.Profiles that cannot be met; those that are met are added.
	KeepClaims Claims = iota
	// RemoveClaims: none is left and none is made. For a server that does not know the profiles.
	RemoveClaims
	// ReplaceClaims: none is left but those of Options.Profiles that are met.
	ReplaceClaims
)

// Unknowns says what becomes of elements that FHIR does not have.
type Unknowns int

// What becomes of them.
const (
	// KeepUnknowns: they stay as they are. A strict server refuses them.
	KeepUnknowns Unknowns = iota
	// UnknownsExtension: each becomes an extension, [UnknownExtension], in the place where it stood, with its name and its JSON as text.
	// Nothing of it is lost, and a strict server takes it. Where there can be no extension beside it (Bundle, Parameters, Binary,
	// extensions) they stay.
	UnknownsExtension
)

// UnknownExtension is the extension that [UnknownsExtension] makes. It has two of its own: name and json, each with a valueString.
const UnknownExtension = "https://github.com/fhirsync/fhirsync-go/conform/unknown-element"

// Options are the settings of a [Conformer]. The zero value is the default.
type Options struct {
	// Rules are the rules that are on; nil: [DefaultRules]; empty and not nil: none.
	Rules []Rule
	// FHIRVersion is the version of the resources. Empty and those that begin with 4.0 or 4.3 are R4 and R4B. For others there is no table
	// of elements: of the rules, Empty, Nulls, References, Narrative and Duplicates alone are carried out, and profiles only as far as they
	// need none.
	FHIRVersion string
	// Location is where times without a zone were written down. nil: they stay as they are, and are a Nonconformity.
	Location *time.Location
	// Bases are the base URLs of the server that the resources come from. An absolute reference to one of them becomes a relative one. Where
	// ids are rewritten (package idspace) this is done there, and better left to it.
	Bases []string
	// Versions and Claims are about meta.
	Versions Versions
	Claims   Claims
	// Unknowns is about elements that FHIR does not have.
	Unknowns Unknowns
	// Profiles are what resources shall meet where they can; see [Profile], [USCore6] and [USCore8].
	Profiles []Profile
}

// Conformer carries out rules. It is safe for concurrent use.
type Conformer struct {
	on       map[Rule]bool
	opts     Options
	bases    []string
	table    *table
	profiles []*profile
	print    string
}

// Change is one thing that was changed.
type Change struct {
	Rule    Rule   `json:"rule"`
	Profile string `json:"profile,omitempty"` // whose rule it is, with its version; "" for none
	// Path is the element: "Observation.component[1].valueQuantity.value", with indexes as they were before. It holds names of elements
	// only, but those of unknown elements are as the server chose them.
	Path string `json:"path"`
	// Offset is where the value stood in the bytes that were given; 0 for what came in.
	Offset int `json:"offset"`
}

// Nonconformity is one thing that is not as it must be, and that could not be put right without guessing.
type Nonconformity struct {
	Path    string `json:"path"` // as in Change
	Rule    Rule   `json:"rule"`
	Profile string `json:"profile,omitempty"` // the profile that is not met, with its version; "" for FHIR itself
}

// Result is what became of a resource.
type Result struct {
	// Raw is the resource. It is the slice that was given where nothing was changed, else memory of its own.
	Raw []byte
	// Changes are in the order in which they were made.
	Changes []Change
	// Nonconformities are what is left.
	Nonconformities []Nonconformity
	// Profiles are those of Options.Profiles that are met, URL and version, in the order of the options.
	Profiles []string
}

// New makes a Conformer. The error names an unknown rule, a base that is no URL, or what is wrong with a profile.
func New(o Options) (*Conformer, error) {
	c := &Conformer{on: map[Rule]bool{}, opts: o}
	if o.Rules == nil {
		o.Rules = DefaultRules()
	}
	for _, r := range o.Rules {
		if !slices.Contains(DefaultRules(), r) {
			return nil, fmt.Errorf("conform: %q is not the name of a rule", string(r))
		}
		c.on[r] = true
	}
	switch {
	case o.Versions < KeepVersions || o.Versions > VersionsExtension:
		return nil, errors.New("conform: Options.Versions is none of its values")
	case o.Claims < KeepClaims || o.Claims > ReplaceClaims:
		return nil, errors.New("conform: Options.Claims is none of its values")
	case o.Unknowns < KeepUnknowns || o.Unknowns > UnknownsExtension:
		return nil, errors.New("conform: Options.Unknowns is none of its values")
	}
	for _, base := range o.Bases {
		u, err := url.Parse(base)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New("conform: a base is no http or https URL")
		}
		c.bases = append(c.bases, strings.TrimRight(base, "/"))
	}
	if v := o.FHIRVersion; v == "" || strings.HasPrefix(v, "4.0") || strings.HasPrefix(v, "4.3") {
		c.table = r4()
	}
	for _, p := range o.Profiles {
		made, err := c.profile(p)
		if err != nil {
			return nil, err
		}
		c.profiles = append(c.profiles, made)
	}
	c.print = c.fingerprint()
	return c, nil
}

// revision is part of the fingerprint: it changes when the same settings come to make other bytes.
const revision = "1"

func (c *Conformer) fingerprint() string {
	var rules []string
	for r := range c.on {
		rules = append(rules, string(r))
	}
	slices.Sort(rules)
	location := ""
	if c.opts.Location != nil {
		location = c.opts.Location.String()
	}
	h := sha256.New()
	// An encoder of strings and numbers does not fail, nor does a hash.
	_ = json.NewEncoder(h).Encode([]any{
		revision, rules, c.opts.FHIRVersion, location, c.bases, c.opts.Versions, c.opts.Claims, c.opts.Unknowns, c.opts.Profiles,
	})
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Fingerprint tells whether two Conformers make the same of everything: they do if it is the same. It holds 32 letters and digits.
func (c *Conformer) Fingerprint() string { return c.print }

// Apply carries out the rules on one resource. raw is not written to. What has been through it once goes through again unchanged.
//
// The error says that raw is not strict JSON (RFC 8259, UTF-8, nested no deeper than 500), no object, or has more than a million values
// ([ErrTooLarge]). There is no other error, and the Result then has raw as it is, with a Nonconformity of [RuleJSON].
func (c *Conformer) Apply(raw []byte) (Result, error) {
	root, err := parse(raw)
	if err == nil && root.kind != '{' {
		err = errors.New("conform: not an object")
	}
	if err != nil {
		return Result{Raw: raw, Nonconformities: []Nonconformity{{Rule: RuleJSON}}}, err
	}
	p := &pass{c: c, raw: raw}
	p.resource(root, nil)
	p.meta(root)
	before := len(p.changes)
	root = p.profiles(root)
	if len(p.changes) > before { // what a profile has put right is not wrong any more.
		p.wrong = slices.DeleteFunc(p.wrong, func(n Nonconformity) bool { return n.Profile == "" })
		p.resource(root, nil)
	}
	out := Result{Raw: raw, Changes: p.changes, Nonconformities: p.wrong, Profiles: p.met}
	if len(p.changes) > 0 {
		out.Raw = root.write(append(make([]byte, 0, len(raw)+256), raw[:root.start]...), raw)
		out.Raw = append(out.Raw, raw[root.end:]...)
	}
	return out, nil
}

// frame is the place of an element, from the inside out.
type frame struct {
	outer *frame
	name  string
	index int // -1: none
}

func (f *frame) String() string {
	if f == nil {
		return ""
	}
	s := f.name
	if f.index >= 0 {
		s += fmt.Sprintf("[%d]", f.index)
	}
	if f.outer == nil {
		return s
	}
	return f.outer.String() + "." + s
}

func (f *frame) in(name string) *frame { return &frame{f, name, -1} }

func (f *frame) at(i int) *frame { return &frame{f.outer, f.name, i} }

// pass is one run over one resource.
type pass struct {
	c       *Conformer
	raw     []byte
	changes []Change
	wrong   []Nonconformity
	met     []string
	profile string // whose rules are carried out
}

func (p *pass) on(r Rule) bool { return p.c.on[r] }

func (p *pass) changed(r Rule, f *frame, n *node) {
	p.changes = append(p.changes, Change{Rule: r, Profile: p.profile, Path: f.String(), Offset: n.start})
}

func (p *pass) fault(r Rule, f *frame) {
	if p.c.on[r] {
		p.wrong = append(p.wrong, Nonconformity{Path: f.String(), Rule: r, Profile: p.profile})
	}
}
