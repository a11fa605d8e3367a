package fhirsync

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Elsewhere lets a sync fetch what the record names on other servers than the one that it is asked of. Without it such references are counted in
// the report by host, and nobody is asked.
//
// Requests to other servers carry no credential: no token, no Server.Header, no cookie, no client certificate. They go over https alone, past
// Config.HTTPClient and any proxy, and to hosts in the public network only: a record could otherwise lead its reader to what only the reader can
// reach. That is looked at when a connection is made, after the name was resolved, and again for each redirect, of which five are followed. A host
// is told that somebody reads this record, and when; which hosts these are is for whoever writes into the record to say.
//
// What comes from there is believed less than what the server itself says:
//
//   - Of resources only those are asked for that belong to no patient (Practitioner, Organization, Medication and the like), where References
//     is set. They must have the type and the id that were asked for, be whole, and name no patient. Their Key.Server is the base URL that the reference has
//     in front of type and id, so that they never take the place of one of the server's own; one whose base URL is the name of a server that
//     the Client has been given is not asked for. What they refer to themselves is not followed.
//   - Contents are those that Attachment.url, or a Reference to a Binary, names, where Contents is set. They are asked for as soon as the resource
//     has come that names them, because many such addresses are good for minutes only; and checked against the attachment's hash and size: one
//     that differs is not kept. Their Key.Server is the origin of the address, their ID is [ContentID]. A content of this server that
//     redirects to another one is fetched from there in the same way, and stays this server's.
//
// Each of them is part of the patient's record by Batch.PatientID. What does not come is counted by host, as skipped, with its reason: it
// was never this server's to give, so the verdict does not depend on it. Report.Elsewhere says what came.
//
// Query values of addresses are secrets as a rule. They are in no report, event or log, and not in the state of an interrupted sync: a sync that
// goes on reads the resources again that name such addresses, which gives fresh ones. The resources themselves are stored as they are.
type Elsewhere struct {
	// References follows References to resources on other servers, within SyncOptions.References.
	References bool
	// Contents fetches contents on other servers, unless SyncOptions.References leaves attachments out.
	Contents bool
	// Hosts are the only ones to be asked, in lower case, with ":port" where that is not 443. nil: any.
	Hosts []string
	// MaxHosts is how many hosts are asked in one sync, redirects included. 0: 20.
	MaxHosts int
	// MaxRequests is how many requests go to all of them together, redirects and repetitions included. 0: 1,000.
	MaxRequests int
	// MaxBytes is how much is fetched from all of them together, beside the bounds on one answer: 4 MB for a resource, Config.MaxContent for a content
	// where the store is a [ContentStore], else Config.MaxPage. 0: 4 GB.
	MaxBytes int64
	// Permit allows addresses that are not of the public network, for a network of one's own. It is called at once by several goroutines.
	// nil: none is allowed.
	Permit func(netip.AddrPort) bool
	// RootCAs are the certificate authorities that are accepted. nil: the system's.
	RootCAs *x509.CertPool
}

// ElsewhereReport is what came from one other server.
type ElsewhereReport struct {
	// Host is in lower case and with its port where that is not 443.
	Host string `json:"host"`
	// Requests counts all attempts and redirects. They are part of RequestCounts.References.
	Requests int `json:"requests"`
	// Resources and Contents were accepted by the store. They are in no TypeReport.
	Resources int `json:"resources,omitempty"`
	Contents  int `json:"contents,omitempty"`
}

const (
	elsewhereHosts    = 20
	elsewhereRequests = 1000
	elsewhereBytes    = 4 << 30
)

// parts name what the options change, for the name of a state.
func (o *Elsewhere) parts() []string {
	if o == nil || !o.References && !o.Contents {
		return nil
	}
	out := []string{"elsewhere"}
	if o.References {
		out = append(out, "elsewhere=references")
	}
	if o.Contents {
		out = append(out, "elsewhere=contents")
	}
	for _, h := range slices.Sorted(slices.Values(o.Hosts)) {
		out = append(out, "elsewhere-host="+h)
	}
	return out
}

// ContentID gives the logical id under which the content of an Attachment.url is kept whose address is not that of a Binary on the server itself.
// Signatures in the address do not count, in so far as they are known for such (those of the large object stores), because they are others each time.
func ContentID(address string) string {
	if u, err := url.Parse(address); err == nil && u.RawQuery != "" {
		address = withoutSignature(u, address)
	}
	sum := sha256.Sum256([]byte(address))
	return "content-" + hex.EncodeToString(sum[:16])
}

// withoutSignature gives an address without what signs it, or the text as it is where nothing does.
func withoutSignature(u *url.URL, text string) string {
	query := u.Query()
	rest := url.Values{}
	for name, values := range query {
		if !isSignature(name, query) {
			rest[name] = values
		}
	}
	if len(rest) == len(query) {
		return text
	}
	out := *u
	out.RawQuery, out.Fragment, out.RawFragment = rest.Encode(), "", "" // in order of names
	return out.String()
}

// isSignature tells whether a parameter is part of a signature: S3 and those like it, Google, Azure, CloudFront.
func isSignature(name string, query url.Values) bool {
	lower := strings.ToLower(name)
	switch {
	case strings.HasPrefix(lower, "x-amz-"), strings.HasPrefix(lower, "x-goog-"):
		return true
	case query.Has("sig") && query.Has("se"): // Azure
		return slices.Contains([]string{"sv", "ss", "srt", "sp", "se", "st", "spr", "sig", "sr", "sip", "skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid"}, lower)
	case query.Has("Signature") && query.Has("Expires"):
		return slices.Contains([]string{"signature", "expires", "awsaccesskeyid", "googleaccessid", "key-pair-id", "policy"}, lower)
	case query.Has("Signature") && query.Has("Policy"):
		return slices.Contains([]string{"signature", "key-pair-id", "policy"}, lower)
	}
	return false
}
