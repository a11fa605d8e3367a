package fhirsync

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// What an answer means on one server, as quirks say. A rule never looks at a resource or a Bundle that came with success: what the record
// says must not be taken for what the server says.

// classed makes a request's check find out what an answer means before anything else is made of it.
func (r *run) classed(req *transport.Request, typ string) {
	rules := r.server.quirks.set.Errors
	if len(rules) == 0 {
		return
	}
	inner := req.Check
	req.Check = func(resp *transport.Response) error {
		resp.Class = string(classOf(rules, req, typ, resp))
		switch quirks.Class(resp.Class) {
		case "":
			if inner != nil {
				return inner(resp)
			}
			return nil
		case quirks.Transient:
			return transport.Again(errOutcome)
		default:
			return nil // the transport does not repeat it: what it means is known.
		}
	}
}

// maxLooked is how much of a body rules look at.
const maxLooked = 64 << 10

// classOf gives what an answer means; "": no rule speaks of it.
func classOf(rules []quirks.ErrorRule, req *transport.Request, typ string, resp *transport.Response) quirks.Class {
	body := resp.Body()
	ok := resp.Status < http.StatusMultipleChoices
	if ok && (len(body) == 0 || transport.LooksJSON(body) && !isOutcome(body)) || resp.Status == http.StatusUnauthorized {
		return ""
	}
	var issues []Issue
	looked := false
	var text []byte
	for i := range rules {
		rule := &rules[i]
		if !appliesTo(rule, req, typ) || len(rule.Status) > 0 && !slices.Contains(rule.Status, resp.Status) || rule.Body != "" && rule.Body != bodyKind(resp) {
			continue
		}
		if rule.Issue != "" || rule.Code != "" {
			if !looked {
				issues, looked = issuesOf(body), true
			}
			if !slices.ContainsFunc(issues, func(is Issue) bool {
				return (rule.Issue == "" || is.Code == rule.Issue) && (rule.Code == "" || slices.Contains(is.Details, printable(rule.Code, 32)))
			}) {
				continue
			}
		}
		if rule.Contains != "" {
			if text == nil {
				text = bytes.ToLower(body[:min(len(body), maxLooked)])
			}
			if !bytes.Contains(text, []byte(strings.ToLower(rule.Contains))) {
				continue
			}
		}
		return rule.Class
	}
	return ""
}

// appliesTo tells whether a rule is about a request.
func appliesTo(rule *quirks.ErrorRule, req *transport.Request, typ string) bool {
	if len(rule.Types) > 0 && !slices.Contains(rule.Types, typ) {
		return false
	}
	return len(rule.Interactions) == 0 || slices.Contains(rule.Interactions, req.Op) || req.Later && slices.Contains(rule.Interactions, quirks.Page)
}

// bodyKind tells what a body is.
func bodyKind(resp *transport.Response) quirks.Body {
	body := bytes.TrimLeft(bytes.TrimPrefix(resp.Body(), []byte("\xEF\xBB\xBF")), " \t\r\n")
	start := strings.ToLower(string(body[:min(len(body), 512)]))
	switch {
	case len(body) == 0:
		return quirks.EmptyBody
	case transport.LooksJSON(body):
		return quirks.JSONBody
	case strings.HasPrefix(start, "<!doctype html"), strings.HasPrefix(start, "<html"), strings.Contains(start, "<html"):
		return quirks.HTMLBody
	case strings.HasPrefix(start, "<"):
		return quirks.XMLBody
	}
	return ""
}

// status is the HTTP status that says what the answer means, which is its own where no rule speaks of it.
func (e *ServerError) status() int {
	switch e.class {
	case quirks.Absent, quirks.Empty:
		return http.StatusNotFound
	case quirks.Denied:
		return http.StatusForbidden
	case quirks.BadQuestion:
		return http.StatusBadRequest
	case quirks.Permanent, quirks.Transient, quirks.Restart, quirks.Split:
		return http.StatusInternalServerError
	}
	return e.StatusCode
}
