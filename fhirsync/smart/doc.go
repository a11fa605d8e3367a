// Package smart gives access tokens as SMART App Launch and SMART Backend Services define them
// (http://hl7.org/fhir/smart-app-launch/), over the standard library and golang.org/x/oauth2.
//
// [Discover] reads where a server's token endpoint is. A [Source] is an oauth2.TokenSource, made by [NewRefresher] for what a patient
// has granted, or by [NewBackend] for a system that authorizes itself by a key:
//
//	found, err := smart.Discover(ctx, "https://fhir.example.org/r4", nil)
//	…
//	key, err := smart.ParseKey(pem, "key-2026")
//	…
//	tokens, err := smart.NewBackend(smart.Backend{TokenURL: found.TokenEndpoint, ClientID: "app", Key: key, Scopes: []string{"system/*.rs"}})
//	…
//	server := fhirsync.Server{BaseURL: "https://fhir.example.org/r4", TokenSource: tokens}
//
// # What a Source takes care of
//
// Many requests that need a new token at once are served by one. A refresh token that was replaced is handed to the caller before the new
// access token is used, because the old one may be dead from that moment on. A grant that has ended (invalid_grant) is not tried again.
// A lifetime that is missing, fractional or a string is understood. After a 401, [Source.Renew] gives another token than the rejected one.
//
// # Privacy
//
// Secrets and assertions go to the token endpoint and nowhere else: redirects are not followed, and the endpoint must use TLS, except on
// the loopback interface, for tests. Errors hold status and error code, never the answer's body.
//
// The answer's siblings of the access token are the token's extras; [Patient] and [Scope] read the usual ones.
package smart
