// Package validate has a validator for package conform that asks a FHIR server, by its operation $validate
// (https://hl7.org/fhir/R4/resource-operation-validate.html). The server may be one of the caller's own that holds nothing but profiles.
//
// The resources themselves are sent there: it must be a server that may see them.
package validate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Server is a [conform.Validator] that asks a FHIR server. Set BaseURL; the other fields may stay zero. It is safe for concurrent use while
// nobody changes its fields.
//
// [conform.Validator]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync/conform#Validator
type Server struct {
	// BaseURL is the FHIR service base URL.
	BaseURL string
	// Client sends the requests; nil: one that waits a minute for each. Credentials are its Transport's business. Redirects are not
	// followed: a patient's resource goes to no other address than the one that was given.
	Client *http.Client
	// Profile is the canonical URL of a profile to validate against; empty: those that the resource claims, and FHIR itself.
	Profile string
}

// maxAnswer is how much of an answer is read.
const maxAnswer = 8 << 20

// Validate sends the resource to the server's [type]/$validate. The issues are those of the OperationOutcome that comes back, whose
// Diagnostics are the server's own words. The error says that there was none; it holds nothing of the resource or the answer.
func (s *Server) Validate(ctx context.Context, typ string, raw []byte) ([]fhirsync.Issue, error) {
	base, err := url.Parse(s.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("validate: BaseURL is no http or https URL")
	}
	u := base.JoinPath(typ, "$validate")
	if s.Profile != "" {
		q := u.Query()
		q.Set("profile", s.Profile)
		u.RawQuery = q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(raw))
	if err != nil {
		return nil, errors.New("validate: the request cannot be made")
	}
	req.Header.Set("Content-Type", "application/fhir+json")
	req.Header.Set("Accept", "application/fhir+json")
	resp, err := s.client().Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if of, ok := errors.AsType[*url.Error](err); ok { // it names the whole address
			err = of.Err
		}
		return nil, fmt.Errorf("validate: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("validate: reading the answer: %w", err)
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusBadRequest, http.StatusPreconditionFailed, http.StatusUnprocessableEntity:
	default:
		return nil, fmt.Errorf("validate: the server answers with status %d", resp.StatusCode)
	}
	if len(body) > maxAnswer {
		return nil, errors.New("validate: the answer is larger than 8 MB")
	}
	issues, ok := read(body)
	if !ok {
		return nil, fmt.Errorf("validate: the answer, with status %d, is no OperationOutcome", resp.StatusCode)
	}
	return issues, nil
}

// Fingerprint tells servers and profiles apart: what was validated by another counts as not validated.
func (s *Server) Fingerprint() string { return strings.TrimRight(s.BaseURL, "/") + " " + s.Profile }

func (s *Server) client() *http.Client {
	c := http.Client{Timeout: time.Minute}
	if s.Client != nil {
		c = *s.Client
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// read reads an OperationOutcome.
func read(body []byte) (issues []fhirsync.Issue, ok bool) {
	var outcome struct {
		ResourceType string
		Issue        []struct {
			Severity, Code, Diagnostics string
			Details                     struct {
				Coding []struct{ Code string }
				Text   string
			}
		}
	}
	if json.Unmarshal(bytes.TrimPrefix(body, []byte("\uFEFF")), &outcome) != nil || outcome.ResourceType != "OperationOutcome" {
		return nil, false
	}
	for _, i := range outcome.Issue {
		issue := fhirsync.Issue{Severity: i.Severity, Code: i.Code, Diagnostics: i.Diagnostics}
		if issue.Diagnostics == "" {
			issue.Diagnostics = i.Details.Text
		}
		for _, c := range i.Details.Coding {
			if c.Code != "" {
				issue.Details = append(issue.Details, c.Code)
			}
		}
		issues = append(issues, issue)
	}
	return issues, true
}
