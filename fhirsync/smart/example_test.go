package smart_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync/smart"
)

func tokenServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") == "refresh_token" {
			_, _ = io.WriteString(w, `{"access_token":"a1","refresh_token":"r1","expires_in":3600,"patient":"p-17","scope":"patient/*.rs"}`)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"a2","expires_in":300,"scope":"system/*.rs"}`)
	}))
}

// A grant of a patient: each new token is kept before it is used.
func ExampleNewRefresher() {
	srv := tokenServer()
	defer srv.Close()
	tokens, err := smart.NewRefresher(smart.Refresher{
		TokenURL: srv.URL, ClientID: "my-app", Token: &oauth2.Token{RefreshToken: "r0"},
		OnToken: func(t *oauth2.Token) error {
			fmt.Println("kept", t.RefreshToken)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := tokens.Token()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(smart.Patient(token), smart.Scope(token))
	// Output:
	// kept r1
	// p-17 patient/*.rs
}

// A system that authorizes itself by a key.
func ExampleNewBackend() {
	srv := tokenServer()
	defer srv.Close()
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader) // smart.ParseKey reads one from PEM or a JWK
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := smart.NewBackend(smart.Backend{
		TokenURL: srv.URL, ClientID: "my-system", Key: &smart.Key{ID: "2026-1", Signer: private}, Scopes: []string{"system/*.rs"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := tokens.Token()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(smart.Scope(token))
	// Output: system/*.rs
}
