package fhirtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// bundle is a searchset as a client sees it.
type bundle struct {
	ResourceType string `json:"resourceType"`
	Type         string `json:"type"`
	Total        *int   `json:"total"`
	Link         []struct {
		Relation string `json:"relation"`
		URL      string `json:"url"`
	} `json:"link"`
	Entry []struct {
		FullURL  string          `json:"fullUrl"`
		Resource json.RawMessage `json:"resource"`
		Search   struct {
			Mode string `json:"mode"`
		} `json:"search"`
	} `json:"entry"`
}

func (b *bundle) link(relation string) string {
	for _, l := range b.Link {
		if l.Relation == relation {
			return l.URL
		}
	}
	return ""
}

// refs gives "Type/id" of every entry, "" for those without a resource or an id.
func (b *bundle) refs() []string {
	var out []string
	for _, e := range b.Entry {
		out = append(out, refOf(e.Resource))
	}
	return out
}

func refOf(raw []byte) string {
	var head struct {
		ResourceType string `json:"resourceType"`
		ID           string `json:"id"`
	}
	if json.Unmarshal(raw, &head) != nil || head.ID == "" {
		return ""
	}
	return head.ResourceType + "/" + head.ID
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of the request or of reading the body
}

func get(ctx context.Context, c *http.Client, address string, header ...string) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, body, err}
}

// page asks for a searchset below the server's base, or at an absolute address.
func page(t *testing.T, s *fhirtest.Server, query string) *bundle {
	t.Helper()
	address := query
	if !strings.Contains(query, "://") {
		address = s.BaseURL() + "/" + query
	}
	a := get(t.Context(), s.Client(), address)
	if a.err != nil || a.status != http.StatusOK {
		t.Fatalf("%s: %d %v %s", query, a.status, a.err, a.body)
	}
	b := new(bundle)
	if err := json.Unmarshal(a.body, b); err != nil {
		t.Fatalf("%s: %v in %s", query, err, a.body)
	}
	if b.ResourceType != "Bundle" || b.Type != "searchset" {
		t.Fatalf("%s: not a searchset: %.200s", query, a.body)
	}
	return b
}

// chain follows next links up to a limit and gives all pages.
func chain(t *testing.T, s *fhirtest.Server, query string, limit int) []*bundle {
	t.Helper()
	var out []*bundle
	for next := query; next != "" && len(out) < limit; {
		b := page(t, s, next)
		out = append(out, b)
		next = b.link("next")
	}
	return out
}

// pull is a naive client: it believes everything it is told.
func pull(ctx context.Context, c *http.Client, base, patientID string) (map[string][]byte, error) {
	got := map[string][]byte{}
	fetch := func(address string, into any) ([]byte, error) {
		a := get(ctx, c, address)
		if a.err != nil {
			return nil, a.err
		}
		if a.status != http.StatusOK {
			return nil, fmt.Errorf("%s: %d %s", address, a.status, a.body)
		}
		return a.body, json.Unmarshal(a.body, into)
	}
	var meta struct {
		Rest []struct {
			Resource []struct {
				Type        string `json:"type"`
				SearchParam []struct {
					Name string `json:"name"`
				} `json:"searchParam"`
			} `json:"resource"`
		} `json:"rest"`
	}
	if _, err := fetch(base+"/metadata", &meta); err != nil {
		return nil, err
	}
	var patient json.RawMessage
	raw, err := fetch(base+"/Patient/"+patientID, &patient)
	if err != nil {
		return nil, err
	}
	got[refOf(raw)] = raw
	for _, r := range meta.Rest[0].Resource {
		for _, want := range []string{"patient", "subject"} {
			has := false
			for _, p := range r.SearchParam {
				has = has || p.Name == want
			}
			if !has {
				continue
			}
			for next := base + "/" + r.Type + "?" + want + "=" + url.QueryEscape(patientID); next != ""; {
				b := new(bundle)
				if _, err := fetch(next, b); err != nil {
					return nil, err
				}
				for _, e := range b.Entry {
					got[refOf(e.Resource)] = e.Resource
				}
				next = b.link("next")
			}
			break
		}
	}
	return got, nil
}

// equal tells how two sets of resources differ; empty: not at all.
func difference(got, want map[string][]byte) string {
	var out strings.Builder
	for ref, w := range want {
		if g, ok := got[ref]; !ok {
			fmt.Fprintf(&out, "missing %s\n", ref)
		} else if string(g) != string(w) {
			fmt.Fprintf(&out, "%s differs:\n%s\n%s\n", ref, g, w)
		}
	}
	for ref := range got {
		if _, ok := want[ref]; !ok {
			fmt.Fprintf(&out, "unexpected %s\n", ref)
		}
	}
	return out.String()
}

// links finds by parsing what references raw JSON holds: the tests' own opinion, to be compared with the generator's.
func links(t *testing.T, raw []byte) map[string]bool {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			ref, _ := v["reference"].(string)
			ref = strings.TrimPrefix(ref, fhirtest.BasePlaceholder+"/")
			ref, _, _ = strings.Cut(ref, "/_history/")
			if ref != "" && ref[0] != '#' && !strings.Contains(ref, "://") {
				out[ref] = true
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return out
}
