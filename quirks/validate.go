package quirks

import (
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a Set and of an Entry.
const (
	maxText   = 2000 // of what is written for people
	maxValue  = 500  // of a value that is sent
	maxList   = 200
	maxTypes  = 200
	maxRules  = 100
	maxPerSet = 20 // of headers, parameters, limits
	maxPage   = 10_000
)

var (
	idForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	tokenForm = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$") // of RFC 9110: names of headers
	paramForm = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.:-]{0,99}$`)
	typeForm  = regexp.MustCompile(`^[A-Z][A-Za-z]{1,63}$`)
	codeForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
	dateForm  = regexp.MustCompile(`^20[0-9][0-9]-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?$`)
	rawForm   = regexp.MustCompile(`^([A-Za-z0-9._~!$'()*+,;:@/?-]|%[0-9A-Fa-f]{2})*$`) // a query, without & = and #
)

// keptHeaders belong to the connection, to the credentials and to the sync.
var keptHeaders = []string{
	"authorization", "proxy-authorization", "host", "cookie", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te",
	"trailer", "keep-alive", "accept-encoding", "accept", "expect", "forwarded", "via", "range", "if-none-match", "if-modified-since",
}

// keptPrefixes are those of headers that make another request of a request: another method, host or path.
var keptPrefixes = []string{"proxy-", "x-forwarded-", "x-http-method", "x-method-override", "x-original-", "x-rewrite-", "x-host"}

// keptParams name the patient or select resources: a Param with one of these names would leave something out in silence.
var keptParams = []string{
	"patient", "subject", "beneficiary", "individual", "actor", "category", "status", "clinical-status", "intent", "code", "date", "period", "type",
	"class", "identifier", "name", "start", "end", "issued", "authoredon", "recorded", "recorded-date", "onset-date", "created", "sent", "encounter",
	"_id", "_lastupdated", "_since", "_type", "_typefilter", "_tag", "_security", "_profile", "_source", "_filter", "_has", "_list", "_query", "_text",
	"_content", "_elements", "_summary", "_count", "_offset", "_page", "_include", "_revinclude", "_contained", "_containedtype", "_maxresults", "_total",
	"_method",
}

// checker looks at a value that was read or made in Go.
type checker struct {
	wrong func(path, problem string)
}

// enum is a text of which only some values have a meaning.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[Generator]():    {string(UUID)},
	reflect.TypeFor[Interaction]():  {string(MetadataInteraction), string(Read), string(Search), string(Page), string(Count), string(OperationCall), string(BatchCall)},
	reflect.TypeFor[Method]():       {string(Get), string(Post)},
	reflect.TypeFor[Reach]():        {string(BySearch), string(ByReference), string(ByRevInclude), string(Nowhere)},
	reflect.TypeFor[PatientValue](): {string(BareID), string(TypedReference)},
	reflect.TypeFor[Style]():        {string(Links), string(PageNumber), string(Offset)},
	reflect.TypeFor[Relative]():     {string(ToPage), string(ToBase)},
	reflect.TypeFor[Stop]():         {string(NoNext), string(EmptyPage)},
	reflect.TypeFor[Total]():        {string(TotalMatches), string(TotalLastPage), string(TotalUntrusted)},
	reflect.TypeFor[Metadata]():     {string(MetadataRead), string(MetadataSkip)},
	reflect.TypeFor[Body]():         {string(JSONBody), string(XMLBody), string(HTMLBody), string(EmptyBody)},
	reflect.TypeFor[Class]():        {string(Empty), string(Absent), string(Denied), string(BadQuestion), string(Restart), string(Split), string(Transient), string(Permanent)},
	reflect.TypeFor[Contents]():     {string(AsBinary), string(AsItself), string(NoContents)},
	reflect.TypeFor[Outcome]():      {string(Normal), string(Partial), string(Withheld)},
	reflect.TypeFor[Unit]():         {string(Seconds), string(Milliseconds), string(Epoch)},
	reflect.TypeFor[Confidence]():   {string(Documented), string(Reported), string(Inferred), string(Observed)},
}

// words looks at all texts: those that stand for one of a few things must be one of them, and none may be longer than sense.
func (c *checker) words(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			c.words(v.Field(i), join(path, name))
		}
	case reflect.Map:
		if v.Len() > maxTypes {
			c.wrong(path, "has more than "+strconv.Itoa(maxTypes)+" members")
		}
		for _, k := range v.MapKeys() {
			at := join(path, printable(k.String()))
			c.words(k, at)
			c.words(v.MapIndex(k), at)
		}
	case reflect.Slice:
		if v.Len() > maxList {
			c.wrong(path, "has more than "+strconv.Itoa(maxList)+" elements")
		}
		for i := range v.Len() {
			c.words(v.Index(i), path+"["+strconv.Itoa(i)+"]")
		}
	case reflect.Pointer:
		if !v.IsNil() {
			c.words(v.Elem(), path)
		}
	case reflect.String:
		s := v.String()
		if len(s) > maxText {
			c.wrong(path, "is longer than "+strconv.Itoa(maxText)+" bytes")
		}
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			c.wrong(path, "has a control character")
		}
		if words, ok := enums[v.Type()]; ok && s != "" && !slices.Contains(words, s) {
			c.wrong(path, "want one of "+strings.Join(words, ", ")+", not "+strconv.Quote(printable(s)))
		}
	default: // numbers and the like are no words.
	}
}

// set looks at a Set.
func (c *checker) set(s *Set, path string) {
	c.words(reflect.ValueOf(*s), path)
	at := func(field string) string { return join(path, field) }
	if len(s.Headers) > maxPerSet || len(s.Params) > maxPerSet || len(s.Rate.Limits) > maxPerSet || len(s.Rate.WaitHeaders) > maxPerSet {
		c.wrong(path, "more than "+strconv.Itoa(maxPerSet)+" headers, params, limits or wait headers")
	}
	for i := range s.Headers {
		c.header(&s.Headers[i], at("headers["+strconv.Itoa(i)+"]"))
	}
	for i := range s.Params {
		c.param(&s.Params[i], at("params["+strconv.Itoa(i)+"]"))
	}
	if a := s.Accept; a != nil && (!strings.Contains(strings.ToLower(*a), "json") || len(*a) > maxValue) {
		c.wrong(at("accept"), "want a media type of JSON")
	}
	for name, t := range s.Types {
		p := at("types." + printable(name))
		if name != "*" && !typeForm.MatchString(name) {
			c.wrong(p, "want the name of a resource type, or *")
		}
		c.typ(&t, p)
	}
	c.paging(&s.Paging, at("paging"))
	for i, t := range s.Everything.Omits {
		if !typeForm.MatchString(t) {
			c.wrong(at("everything.omits["+strconv.Itoa(i)+"]"), "want the name of a resource type")
		}
	}
	if n := s.Batch.MaxEntries; n != nil && (*n < 1 || *n > 1000) {
		c.wrong(at("batch.maxEntries"), "want a number from 1 to 1000")
	}
	if len(s.Errors) > maxRules {
		c.wrong(at("errors"), "has more than "+strconv.Itoa(maxRules)+" rules")
	}
	for i := range s.Errors {
		c.rule(&s.Errors[i], at("errors["+strconv.Itoa(i)+"]"))
	}
	for code, o := range s.Outcomes {
		if !codeForm.MatchString(code) || o == "" {
			c.wrong(at("outcomes."+printable(code)), "want a vendor's code and what it means")
		}
	}
	c.rate(&s.Rate, at("rate"))
	for what, d := range s.Timeouts {
		if d <= 0 || what == "" {
			c.wrong(at("timeouts."+string(what)), "want a time above 0")
		}
	}
	for i, code := range s.Redacted {
		if !codeForm.MatchString(code) {
			c.wrong(at("redacted["+strconv.Itoa(i)+"]"), "want a code")
		}
	}
	if n := s.References.DeniedAfter; n != nil && *n < 1 {
		c.wrong(at("references.deniedAfter"), "want a number above 0")
	}
	for i, b := range s.References.Bases {
		if a := parseAddress(b); a == nil || a.scheme != "https" && a.scheme != "http" || strings.ContainsAny(b, "*?#@") {
			c.wrong(at("references.bases["+strconv.Itoa(i)+"]"), "want a base URL")
		}
	}
}

// oneOf tells whether exactly one of the texts is there.
func oneOf(texts ...string) bool {
	n := 0
	for _, t := range texts {
		if t != "" {
			n++
		}
	}
	return n == 1
}

func (c *checker) header(h *Header, path string) {
	name := strings.ToLower(h.Name)
	switch {
	case !tokenForm.MatchString(h.Name):
		c.wrong(join(path, "name"), "want the name of a header")
	case slices.Contains(keptHeaders, name) || slices.ContainsFunc(keptPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }):
		c.wrong(join(path, "name"), "a quirk cannot set "+h.Name)
	}
	if !oneOf(h.Value, h.Var, string(h.Generate)) {
		c.wrong(path, "want exactly one of value, var and generate")
	}
	if len(h.Value) > maxValue {
		c.wrong(join(path, "value"), "is longer than "+strconv.Itoa(maxValue)+" bytes")
	}
	if h.Var != "" && !codeForm.MatchString(h.Var) {
		c.wrong(join(path, "var"), "want a name")
	}
}

func (c *checker) param(p *Param, path string) {
	switch name := strings.ToLower(p.Name); {
	case !paramForm.MatchString(p.Name):
		c.wrong(join(path, "name"), "want the name of a parameter")
	case slices.Contains(keptParams, name) || strings.Contains(name, ":") || strings.Contains(name, "."):
		c.wrong(join(path, "name"), p.Name+" selects resources: it belongs into types.TYPE.required")
	}
	if !oneOf(p.Value, p.Var) {
		c.wrong(path, "want exactly one of value and var")
	}
	if len(p.Value) > maxValue || p.Raw && !rawForm.MatchString(p.Value) {
		c.wrong(join(path, "value"), "is too long, or cannot stand in an address as it is")
	}
	if p.Var != "" && !codeForm.MatchString(p.Var) {
		c.wrong(join(path, "var"), "want a name")
	}
}

func (c *checker) params(params map[string]string, path string) {
	for name, v := range params {
		if !paramForm.MatchString(name) || v == "" || len(v) > maxValue {
			c.wrong(join(path, printable(name)), "want the name of a search parameter and its value")
		}
		if slices.Contains([]string{"_count", "_summary", "_elements", "_include", "_revinclude", "_id"}, strings.ToLower(name)) {
			c.wrong(join(path, name), "cannot be set here")
		}
	}
}

func (c *checker) typ(t *Type, path string) {
	if p := t.Patient; p != nil && !paramForm.MatchString(*p) {
		c.wrong(join(path, "patient"), "want the name of a search parameter, or none")
	}
	c.params(t.Required, join(path, "required"))
	for i, f := range t.Further {
		at := join(path, "further["+strconv.Itoa(i)+"]")
		c.params(f, at)
		if len(f) == 0 {
			c.wrong(at, "has no parameter")
		}
	}
	if p := t.FanOut.Param; p != nil && *p != "" && !paramForm.MatchString(*p) {
		c.wrong(join(path, "fanOut.param"), "want the name of a search parameter")
	}
	for i, v := range t.FanOut.Values {
		if v == "" || strings.Contains(v, ",") {
			c.wrong(join(path, "fanOut.values["+strconv.Itoa(i)+"]"), "want one value")
		}
	}
	for name := range t.Avoid {
		if !paramForm.MatchString(name) {
			c.wrong(join(path, "avoid."+printable(name)), "want the name of a search parameter")
		}
	}
	for i, v := range append(slices.Clone(t.Includes), t.RevIncludes...) {
		if typ, param, ok := strings.Cut(v, ":"); !ok || !typeForm.MatchString(typ) || !paramForm.MatchString(param) {
			c.wrong(join(path, "includes, revIncludes ["+strconv.Itoa(i)+"]"), "want TYPE:parameter")
		}
	}
	if n := t.IDsPerSearch; n != nil && (*n < 0 || *n > maxList) {
		c.wrong(join(path, "idsPerSearch"), "want a number from 0 to "+strconv.Itoa(maxList))
	}
	if n := t.PageSize; n != nil && (*n < 0 || *n > maxPage) {
		c.wrong(join(path, "pageSize"), "want a number from 0 to "+strconv.Itoa(maxPage))
	}
}

func (c *checker) paging(p *Paging, path string) {
	if p.Style != nil && *p.Style != Links && p.PageParam == nil {
		c.wrong(join(path, "pageParam"), "is missing: the style needs it")
	}
	for name, v := range map[string]*string{"pageParam": p.PageParam, "sizeParam": p.SizeParam} {
		if v != nil && !paramForm.MatchString(*v) {
			c.wrong(join(path, name), "want the name of a parameter")
		}
	}
	if p.Cap != nil && *p.Cap < 1 {
		c.wrong(join(path, "cap"), "want a number above 0")
	}
}

func (c *checker) rule(r *ErrorRule, path string) {
	if r.Class == "" {
		c.wrong(join(path, "class"), "is missing")
	}
	if len(r.Status) == 0 && r.Issue == "" && r.Code == "" && r.Body == "" && r.Contains == "" {
		c.wrong(path, "fits every answer: want status, issue, code, body or contains")
	}
	if notThere := []int{404, 410}; r.Class == Empty && r.Issue == "" && r.Code == "" && r.Contains == "" &&
		slices.ContainsFunc(r.Status, func(s int) bool { return !slices.Contains(notThere, s) }) {
		c.wrong(path, "a status says too little to take an answer for an empty one: want issue, code or contains, or status 404")
	}
	for i, s := range r.Status {
		if s < 200 || s > 599 {
			c.wrong(join(path, "status["+strconv.Itoa(i)+"]"), "want an HTTP status")
		}
		if s == 401 {
			c.wrong(join(path, "status["+strconv.Itoa(i)+"]"), "401 is about the token, and means that")
		}
	}
	if len(r.Status) == 0 && r.Issue == "" && r.Code == "" && r.Contains == "" {
		c.wrong(path, "the kind of the body alone says too little: want status, issue, code or contains")
	}
	if n := len(r.Contains); n > 0 && (n < 4 || n > maxValue) {
		c.wrong(join(path, "contains"), "want a text of 4 to "+strconv.Itoa(maxValue)+" bytes")
	}
	for i, t := range r.Types {
		if !typeForm.MatchString(t) {
			c.wrong(join(path, "types["+strconv.Itoa(i)+"]"), "want the name of a resource type")
		}
	}
}

func (c *checker) rate(r *Rate, path string) {
	if v := r.PerSecond; v != nil && (*v <= 0 || *v > 1e6) {
		c.wrong(join(path, "perSecond"), "want a number above 0")
	}
	if v := r.Concurrency; v != nil && *v < 1 {
		c.wrong(join(path, "concurrency"), "want a number above 0")
	}
	for i, l := range r.Limits {
		at := join(path, "limits["+strconv.Itoa(i)+"]")
		if l.Requests < 1 || l.Per <= 0 {
			c.wrong(at, "want requests above 0 in a time above 0")
		}
		for _, class := range l.Classes {
			if class != "search" && class != "read" {
				c.wrong(join(at, "classes"), "want search and read")
			}
		}
	}
	for i, h := range r.WaitHeaders {
		if !tokenForm.MatchString(h.Name) || h.Unit == "" {
			c.wrong(join(path, "waitHeaders["+strconv.Itoa(i)+"]"), "want the name of a header and a unit")
		}
	}
}

// entry looks at an Entry.
func (c *checker) entry(e *Entry) {
	if !idForm.MatchString(e.ID) {
		c.wrong("id", "want small letters, digits and hyphens")
	}
	if e.Name == "" {
		c.wrong("name", "is missing")
	}
	c.words(reflect.ValueOf(*e), "")
	c.set(&e.Set, "set")
	if len(e.Match) == 0 && len(named(&e.Set)) > 0 {
		c.wrong("match", "is missing: without it only notes make sense")
	}
	for i := range e.Match {
		c.match(&e.Match[i], "match["+strconv.Itoa(i)+"]")
	}
	for i := range e.Sources {
		c.source(&e.Sources[i], "sources["+strconv.Itoa(i)+"]")
	}
	for i := range e.Notes {
		n, at := &e.Notes[i], "notes["+strconv.Itoa(i)+"]"
		if n.Why == "" {
			c.wrong(at+".why", "is missing")
		}
		if len(n.Source.Fields) > 0 {
			c.wrong(at+".source.fields", "speaks for a field: that belongs into sources")
		}
		c.source(&n.Source, at+".source")
	}
	if e.MovedTo != "" && len(e.Sources) == 0 {
		c.wrong("movedTo", "has no evidence: want a source")
	}
	c.facts(e)
	c.evidence(e)
}

// facts looks whether each fact has a name of its own.
func (c *checker) facts(e *Entry) {
	seen := map[string]bool{}
	once := func(id, path string) {
		if seen[id] && id != "" {
			c.wrong(path+".id", "is used twice in the entry")
		}
		seen[id] = true
	}
	for i := range e.Sources {
		once(e.Sources[i].ID, "sources["+strconv.Itoa(i)+"]")
	}
	for i := range e.Notes {
		once(e.Notes[i].Source.ID, "notes["+strconv.Itoa(i)+"].source")
	}
}

func (c *checker) match(m *Match, path string) {
	if m.BaseURL != "" {
		if _, err := parsePattern(m.BaseURL); err != nil {
			c.wrong(join(path, "baseURL"), err.Error())
		}
	}
	any := func(s string) bool { return strings.Trim(s, "*? ") == "" }
	if m.BaseURL == "" && any(m.Software) && any(m.Publisher) && any(m.Implementation) {
		c.wrong(path, "fits every server: want baseURL, software, publisher or implementation")
	}
}

func (c *checker) source(s *Source, path string) {
	if s.ID != "" && !idForm.MatchString(s.ID) {
		c.wrong(join(path, "id"), "want small letters, digits and hyphens")
	}
	if s.About != "" && !idForm.MatchString(s.About) {
		c.wrong(join(path, "about"), "want the kind of fact, in small letters, digits and hyphens")
	}
	if s.Confidence == "" {
		c.wrong(join(path, "confidence"), "is missing")
	}
	u, err := url.Parse(s.URL)
	switch {
	case s.URL == "" && s.Confidence != Observed:
		c.wrong(join(path, "url"), "is missing")
	case s.URL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == ""):
		c.wrong(join(path, "url"), "want an address")
	}
	if s.Confidence == Observed && s.Seen == "" {
		c.wrong(join(path, "seen"), "is missing: an observation has a date")
	}
	if s.Seen != "" && !dateForm.MatchString(s.Seen) {
		c.wrong(join(path, "seen"), "want a month or a day like 2026-08-21")
	}
	if s.Says == "" {
		c.wrong(join(path, "says"), "is missing")
	}
}

// named gives the paths of the fields that a Set speaks of.
func named(s *Set) []string {
	var out []string
	fields(reflect.ValueOf(*s), "", func(path string, _ reflect.Value) { out = append(out, path) })
	return out
}

// evidence looks whether each field of the Set has a source, and whether each source speaks for fields that are there.
func (c *checker) evidence(e *Entry) {
	paths := named(&e.Set)
	for _, p := range paths {
		if len(sourcesOf(e, p)) == 0 {
			c.wrong("set."+p, "has no evidence: no source names it in fields")
		}
	}
	for i := range e.Sources {
		if len(e.Sources[i].Fields) == 0 && e.MovedTo == "" {
			c.wrong("sources["+strconv.Itoa(i)+"].fields", "is missing: what speaks for no field is a note")
		}
		for _, f := range e.Sources[i].Fields {
			if !slices.ContainsFunc(paths, func(p string) bool { return below(p, f) }) {
				c.wrong("sources["+strconv.Itoa(i)+"].fields", "names "+strconv.Quote(printable(f))+", which the set does not have")
			}
		}
	}
}

// below tells whether path is field or stands below it.
func below(path, field string) bool {
	rest, ok := strings.CutPrefix(path, field)
	return ok && (rest == "" || rest[0] == '.')
}

// sourcesOf gives the sources that speak for a field.
func sourcesOf(e *Entry, path string) []Source {
	var out []Source
	for _, s := range e.Sources {
		if slices.ContainsFunc(s.Fields, func(f string) bool { return below(path, f) }) {
			out = append(out, s)
		}
	}
	return out
}
