package smart_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync/smart"
)

const tokenURL = "https://auth.example.test/token"

// endpoint is a token endpoint in process.
type endpoint struct {
	mu      sync.Mutex
	asked   []url.Values
	headers []http.Header
	answer  func(n int, form url.Values) (status int, header http.Header, body string)
	fail    func(n int) error
	took    time.Duration
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.asked = append(e.asked, form)
	e.headers = append(e.headers, r.Header.Clone())
	n := len(e.asked)
	e.mu.Unlock()
	time.Sleep(e.took)
	if e.fail != nil {
		if err := e.fail(n); err != nil {
			return nil, err
		}
	}
	status, header, text := e.answer(n, form)
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func (e *endpoint) client() *http.Client { return &http.Client{Transport: e} }

func ok(body string) func(int, url.Values) (int, http.Header, string) {
	return func(int, url.Values) (int, http.Header, string) { return http.StatusOK, nil, body }
}

func refresher(t *testing.T, e *endpoint, change func(*smart.Refresher)) *smart.Source {
	t.Helper()
	r := smart.Refresher{TokenURL: tokenURL, ClientID: "app", Token: &oauth2.Token{RefreshToken: "r0"}, HTTPClient: e.client()}
	if change != nil {
		change(&r)
	}
	s, err := smart.NewRefresher(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseToken(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		life string
		want time.Duration // 0: none
	}{
		{`,"expires_in":3600`, time.Hour},
		{`,"expires_in":16768.523842`, 16768523842 * time.Microsecond},
		{`,"expires_in":"570"`, 570 * time.Second},
		{`,"expires_in":"soon"`, 0},
		{`,"expires_in":0`, 0},
		{`,"expires_in":-3`, 0},
		{`,"expires_in":null`, 0},
		{`,"expires_in":1e300`, 10 * 365 * 24 * time.Hour},
		{``, 0},
	} {
		token, err := smart.ParseToken([]byte(`{"access_token":"a","token_type":"bearer","patient":"p-1","scope":"patient/*.rs","access_grant_expiration":"2025-09-05 19:17:53Z"`+c.life+`}`), now)
		if err != nil {
			t.Errorf("%s: %v", c.life, err)
			continue
		}
		got := time.Duration(0)
		if !token.Expiry.IsZero() {
			got = token.Expiry.Sub(now)
		}
		if got.Round(time.Microsecond) != c.want {
			t.Errorf("%s: %v, want %v", c.life, got, c.want)
		}
		if smart.Patient(token) != "p-1" || smart.Scope(token) != "patient/*.rs" || token.Type() != "Bearer" {
			t.Errorf("%q %q %q", smart.Patient(token), smart.Scope(token), token.Type())
		}
	}
	for _, bad := range []string{"", "<html>", "{}", `{"access_token":""}`, `{"access_token":7}`, `{"access_token":"a\r\nX: y"}`, "[]"} {
		if _, err := smart.ParseToken([]byte(bad), now); err == nil || strings.Contains(err.Error(), "X:") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if smart.Patient(nil) != "" || smart.Scope(&oauth2.Token{}) != "" {
		t.Error("a token without extras has some")
	}
}

func TestOneRefreshServesAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{took: 2 * time.Second, answer: ok(`{"access_token":"a1","refresh_token":"r1","expires_in":300}`)}
		s := refresher(t, e, nil)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if token, err := s.Token(); err != nil || token.AccessToken != "a1" {
					t.Errorf("%v %v", token, err)
				}
			})
		}
		wg.Wait()
		if len(e.asked) != 1 {
			t.Errorf("asked %d times", len(e.asked))
		}
		// The same for a rejected token that many requests carried.
		e.answer = ok(`{"access_token":"a2","expires_in":300}`)
		for range 50 {
			wg.Go(func() {
				if token, err := s.Renew(&oauth2.Token{AccessToken: "a1"}); err != nil || token.AccessToken != "a2" {
					t.Errorf("%v %v", token, err)
				}
			})
		}
		wg.Wait()
		if len(e.asked) != 2 || e.asked[1].Get("refresh_token") != "r1" {
			t.Errorf("asked %d times, last with %q", len(e.asked), e.asked[len(e.asked)-1].Get("refresh_token"))
		}
		// A new one in time, with the refresh token that the last answer left out.
		time.Sleep(271 * time.Second)
		e.answer = ok(`{"access_token":"a3","expires_in":300}`)
		if token, err := s.Token(); err != nil || token.AccessToken != "a3" || token.RefreshToken != "r1" || e.asked[2].Get("refresh_token") != "r1" {
			t.Errorf("%v %v", token, err)
		}
	})
}

func TestRotatedRefreshTokensAreKeptBeforeUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{answer: func(n int, form url.Values) (int, http.Header, string) {
			if want := fmt.Sprintf("r%d", n-1); form.Get("refresh_token") != want {
				return http.StatusBadRequest, nil, `{"error":"invalid_grant"}`
			}
			return http.StatusOK, nil, fmt.Sprintf(`{"access_token":"a%d","refresh_token":"r%d","expires_in":60}`, n, n)
		}}
		var kept []string
		down := errors.New("database down")
		fail := error(nil)
		s := refresher(t, e, func(r *smart.Refresher) {
			r.OnToken = func(token *oauth2.Token) error {
				if fail == nil {
					kept = append(kept, token.RefreshToken)
				}
				return fail
			}
		})
		if _, err := s.Token(); err != nil || !slices.Equal(kept, []string{"r1"}) {
			t.Fatalf("%v, kept %v", err, kept)
		}
		time.Sleep(time.Minute)
		fail = down
		for range 3 {
			if token, err := s.Token(); !errors.Is(err, down) || token != nil {
				t.Errorf("a token that was not kept was handed out: %v", err)
			}
		}
		// It would be worse still to ask again: the answer that was not kept holds the only refresh token that is alive.
		time.Sleep(2 * time.Minute)
		if _, err := s.Token(); !errors.Is(err, down) || len(e.asked) != 2 {
			t.Errorf("%v, asked %d times", err, len(e.asked))
		}
		fail = nil
		if token, err := s.Token(); err != nil || token.AccessToken != "a3" || !slices.Equal(kept, []string{"r1", "r2", "r3"}) {
			t.Errorf("%v, kept %v", err, kept)
		}
	})
}

func TestAnEndedGrantIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{answer: func(int, url.Values) (int, http.Header, string) {
			return http.StatusBadRequest, nil, `{"error":"invalid_grant","error_description":"patient Miller revoked r0"}`
		}}
		s := refresher(t, e, nil)
		for range 5 {
			_, err := s.Token()
			var fail *smart.Error
			var retrieve *oauth2.RetrieveError
			if !errors.As(err, &fail) || fail.Code != "invalid_grant" || fail.StatusCode != http.StatusBadRequest || !errors.As(err, &retrieve) || retrieve.ErrorCode != "invalid_grant" {
				t.Errorf("%v", err)
			}
			if err == nil || err.Error() != "smart: token: 400 invalid_grant" {
				t.Errorf("message %q", err)
			}
			if _, err := s.Renew(&oauth2.Token{AccessToken: "x"}); err == nil {
				t.Error("renewed")
			}
		}
		if len(e.asked) != 1 {
			t.Errorf("asked %d times", len(e.asked))
		}
	})
}

func TestPassingFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	good := `{"access_token":"a","expires_in":60}`
	for _, c := range []struct {
		name   string
		status int
		header http.Header
		body   string
		fail   error
		asked  int
		waited time.Duration
		ends   bool
	}{
		{name: "503", status: 503, asked: 2, waited: time.Second},
		{name: "429 with a wait", status: 429, header: http.Header{"Retry-After": {"7"}}, asked: 2, waited: 7 * time.Second},
		{name: "429 with a long wait", status: 429, header: http.Header{"Retry-After": {"700"}}, asked: 1, ends: true},
		{name: "a bare 400", status: 400, body: "<html>", asked: 2, waited: time.Second},
		{name: "temporarily unavailable", status: 400, body: `{"error":"temporarily_unavailable"}`, asked: 2, waited: time.Second},
		{name: "a page with 200", status: 200, body: "<html>secret</html>", asked: 2, waited: time.Second},
		{name: "connection", fail: io.ErrUnexpectedEOF, asked: 2, waited: time.Second},
		{name: "401 without a code", status: 401, asked: 1, ends: true},
		{name: "invalid client", status: 401, body: `{"error":"invalid_client"}`, asked: 1, ends: true},
		{name: "redirect", status: 302, header: http.Header{"Location": {"https://evil.example/token"}}, asked: 1, ends: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := &endpoint{
					answer: func(n int, _ url.Values) (int, http.Header, string) {
						if n == 1 {
							return c.status, c.header, c.body
						}
						return http.StatusOK, nil, good
					},
					fail: func(n int) error {
						if n == 1 {
							return c.fail
						}
						return nil
					},
				}
				start := time.Now()
				_, err := refresher(t, e, nil).Token()
				if (err != nil) != c.ends || len(e.asked) != c.asked || time.Since(start) != c.waited {
					t.Errorf("%v, asked %d times in %v", err, len(e.asked), time.Since(start))
				}
				if err != nil && (strings.Contains(err.Error(), "evil") || strings.Contains(err.Error(), "secret")) {
					t.Errorf("message %q", err)
				}
			})
		})
	}
}

func TestSecretsFollowNoRedirect(t *testing.T) {
	t.Parallel()
	var evil []string
	var mu sync.Mutex
	there := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		evil = append(evil, r.Header.Get("Authorization")+string(body))
	}))
	defer there.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		here := httptest.NewServer(http.RedirectHandler(there.URL+"/token", status))
		s, err := smart.NewRefresher(smart.Refresher{TokenURL: here.URL, ClientID: "app", Secret: "s3cret", Token: &oauth2.Token{RefreshToken: "r0"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Token(); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%d: %v", status, err)
		}
		here.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	if len(evil) > 0 {
		t.Errorf("another host saw %q", evil)
	}
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	good := ok(`{"access_token":"a","expires_in":60}`)
	e := &endpoint{answer: good}
	if _, err := refresher(t, e, func(r *smart.Refresher) { r.Secret = "a:b c" }).Token(); err != nil {
		t.Fatal(err)
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("app:a%3Ab+c"))
	if got := e.headers[0].Get("Authorization"); got != want || e.asked[0].Has("client_id") || e.asked[0].Has("client_secret") {
		t.Errorf("%q, %v", got, e.asked[0])
	}
	e = &endpoint{answer: good}
	if _, err := refresher(t, e, func(r *smart.Refresher) { r.Scopes = []string{"patient/Observation.rs", "openid"} }).Token(); err != nil {
		t.Fatal(err)
	}
	if e.headers[0].Get("Authorization") != "" || e.asked[0].Get("client_id") != "app" || e.asked[0].Get("scope") != "patient/Observation.rs openid" {
		t.Errorf("%v %v", e.headers[0], e.asked[0])
	}
}

func newKeys(t *testing.T) (*rsa.PrivateKey, *ecdsa.PrivateKey) {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r, e
}

func b64(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

func jwks(t *testing.T, r *rsa.PrivateKey, e *ecdsa.PrivateKey) (rsaJWK, ecJWK, set string) {
	t.Helper()
	rsaJWK = fmt.Sprintf(`{"kty":"RSA","kid":"rsa-1","alg":"RS384","n":%q,"e":"AQAB","d":%q,"p":%q,"q":%q}`, b64(r.N), b64(r.D), b64(r.Primes[0]), b64(r.Primes[1]))
	raw, err := e.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	point, err := e.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	ecJWK = fmt.Sprintf(`{"kty":"EC","kid":"ec-1","crv":"P-384","x":%q,"y":%q,"d":%q}`, enc(point[1:49]), enc(point[49:]), enc(raw))
	public := fmt.Sprintf(`{"kty":"RSA","kid":"public","n":%q,"e":"AQAB"}`, b64(r.N))
	return rsaJWK, ecJWK, `{"keys":[` + public + "," + rsaJWK + "," + ecJWK + `]}`
}

// The assertions of a backend are checked the way a server does it, by the public key alone.
func TestBackendServices(t *testing.T) {
	t.Parallel()
	rk, ek := newKeys(t)
	rsaJWK, ecJWK, set := jwks(t, rk, ek)
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	sec1, err := x509.MarshalECPrivateKey(ek)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text, id, alg, kid string
	}{
		{"RSA, PKCS 8", pkcs8(rk), "k1", "RS384", "k1"},
		{"EC, PKCS 8", pkcs8(ek), "k2", "ES384", "k2"},
		{"RSA, PKCS 1", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rk)})), "k3", "RS384", "k3"},
		{
			"EC, SEC 1, after its parameters", string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}})) +
				string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})), "k4", "ES384", "k4",
		},
		{"RSA, JWK", rsaJWK, "", "RS384", "rsa-1"},
		{"EC, JWK", ecJWK, "", "ES384", "ec-1"},
		{"a set, by id", set, "ec-1", "ES384", "ec-1"},
		{"a set, the first", set, "", "RS384", "rsa-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				key, err := smart.ParseKey([]byte(c.text), c.id)
				if err != nil {
					t.Fatal(err)
				}
				e := &endpoint{answer: ok(`{"access_token":"a","token_type":"bearer","expires_in":300,"scope":"system/*.rs"}`)}
				s, err := smart.NewBackend(smart.Backend{TokenURL: tokenURL, ClientID: "app", Key: key, Scopes: []string{"system/*.rs"}, HTTPClient: e.client()})
				if err != nil {
					t.Fatal(err)
				}
				seen := map[string]bool{}
				for n := range 3 {
					if token, err := s.Token(); err != nil || smart.Scope(token) != "system/*.rs" {
						t.Fatalf("%v %v", token, err)
					}
					form := e.asked[n]
					if form.Get("grant_type") != "client_credentials" || form.Get("scope") != "system/*.rs" ||
						form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Has("client_secret") || form.Has("refresh_token") {
						t.Errorf("%v", form)
					}
					claims := verify(t, form.Get("client_assertion"), c.alg, c.kid, rk, ek)
					if claims.Iss != "app" || claims.Sub != "app" || claims.Aud != tokenURL || seen[claims.Jti] || claims.Jti == "" {
						t.Errorf("%+v", claims)
					}
					seen[claims.Jti] = true
					if left := time.Until(time.Unix(claims.Exp, 0)); left <= time.Minute || left > 5*time.Minute {
						t.Errorf("good for %v", left)
					}
					time.Sleep(299 * time.Second)
				}
			})
		})
	}
}

type claims struct {
	Iss, Sub, Aud, Jti string
	Exp                int64
}

func verify(t *testing.T, jwt, alg, kid string, rk *rsa.PrivateKey, ek *ecdsa.PrivateKey) (c claims) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	decode := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var header struct{ Alg, Kid, Typ string }
	if err := json.Unmarshal(decode(parts[0]), &header); err != nil || header.Alg != alg || header.Kid != kid || header.Typ != "JWT" {
		t.Errorf("header %+v %v", header, err)
	}
	sum := sha512.Sum384([]byte(parts[0] + "." + parts[1]))
	sig := decode(parts[2])
	if alg == "RS384" {
		if err := rsa.VerifyPKCS1v15(&rk.PublicKey, 6, sum[:], sig); err != nil {
			t.Error(err)
		}
	} else if len(sig) != 96 || !ecdsa.Verify(&ek.PublicKey, sum[:], new(big.Int).SetBytes(sig[:48]), new(big.Int).SetBytes(sig[48:])) {
		t.Error("signature")
	}
	if err := json.Unmarshal(decode(parts[1]), &c); err != nil {
		t.Error(err)
	}
	return c
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	rk, ek := newKeys(t)
	rsaJWK, ecJWK, set := jwks(t, rk, ek)
	weak, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(weak)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := other.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(ecJWK, `"d":`)
	foreignD := before + `"d":"` + base64.RawURLEncoding.EncodeToString(raw) + `"}`
	for name, text := range map[string]string{
		"nothing": "", "rubbish": "hello", "a certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"another curve":     string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})),
		"broken PEM":        string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})),
		"a public JWK":      `{"kty":"RSA","n":"AQAB","e":"AQAB"}`,
		"parts that differ": foreignD,
		"RSA parts":         strings.Replace(rsaJWK, b64(rk.Primes[0]), b64(big.NewInt(7)), 1),
		"no such id":        set,
		"symmetric":         `{"kty":"oct","k":"AQAB","d":"AQAB"}`,
		"no base64":         strings.Replace(ecJWK, `"d":"`, `"d":"!!`, 1),
	} {
		key, err := smart.ParseKey([]byte(text), "no-such-key")
		if err == nil {
			t.Errorf("%s: taken, as %s", name, key.ID)
			continue
		}
		if strings.Contains(err.Error(), b64(rk.D)[:8]) {
			t.Errorf("%s: the message holds the key", name)
		}
	}
	if _, err := smart.NewBackend(smart.Backend{TokenURL: tokenURL, ClientID: "app", Scopes: []string{"x"}, Key: &smart.Key{Signer: weak}}); err == nil {
		t.Error("a key on another curve was taken")
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	rk, _ := newKeys(t)
	key := &smart.Key{Signer: rk}
	token := &oauth2.Token{RefreshToken: "r"}
	for name, err := range map[string]error{
		"no refresh token": second(smart.NewRefresher(smart.Refresher{TokenURL: tokenURL, ClientID: "a", Token: &oauth2.Token{}})),
		"no token":         second(smart.NewRefresher(smart.Refresher{TokenURL: tokenURL, ClientID: "a"})),
		"secret and key":   second(smart.NewRefresher(smart.Refresher{TokenURL: tokenURL, ClientID: "a", Token: token, Secret: "s", Key: key})),
		"no client":        second(smart.NewRefresher(smart.Refresher{TokenURL: tokenURL, Token: token})),
		"no TLS":           second(smart.NewRefresher(smart.Refresher{TokenURL: "http://auth.example.test/token", ClientID: "a", Token: token})),
		"no scheme":        second(smart.NewRefresher(smart.Refresher{TokenURL: "auth.example.test/token", ClientID: "a", Token: token})),
		"credentials":      second(smart.NewRefresher(smart.Refresher{TokenURL: "https://u:p@auth.example.test/token", ClientID: "a", Token: token})),
		"no scopes":        second(smart.NewBackend(smart.Backend{TokenURL: tokenURL, ClientID: "a", Key: key})),
		"no key":           second(smart.NewBackend(smart.Backend{TokenURL: tokenURL, ClientID: "a", Scopes: []string{"s"}})),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func second(_ *smart.Source, err error) error { return err }

// reply is an answer to a GET.
type reply struct {
	status   int
	body     string
	location string
}

type pages struct {
	t   *testing.T
	all map[string]reply
}

const evilPage = "evil"

func (p pages) RoundTrip(r *http.Request) (*http.Response, error) {
	one, known := p.all[r.URL.String()]
	if !known {
		return nil, errors.New("no such host " + r.URL.Host)
	}
	if one.body == evilPage {
		p.t.Errorf("asked %s", r.URL)
	}
	h := http.Header{}
	if one.location != "" {
		h.Set("Location", one.location)
	}
	return &http.Response{StatusCode: one.status, Header: h, Body: io.NopCloser(strings.NewReader(one.body)), Request: r}, nil
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	const well = "https://fhir.example.test/r4/.well-known/smart-configuration"
	find := func(p map[string]reply, base string) (*smart.Configuration, error) {
		return smart.Discover(t.Context(), base, &http.Client{Transport: pages{t, p}})
	}
	type m = map[string]reply
	c, err := find(m{well: {200, `{"issuer":"https://fhir.example.test","token_endpoint":"https://auth.example.test/token","authorization_endpoint":"../authorize",
		"grant_types_supported":["client_credentials"],"capabilities":["permission-v2"],"token_endpoint_auth_signing_alg_values_supported":["ES384"]}`, ""}}, "https://fhir.example.test/r4/")
	if err != nil || c.TokenEndpoint != "https://auth.example.test/token" || c.AuthorizationEndpoint != "https://fhir.example.test/authorize" ||
		!slices.Equal(c.Capabilities, []string{"permission-v2"}) || !slices.Equal(c.SigningAlgs, []string{"ES384"}) {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := find(m{
		well:                             {302, "", "https://fhir.example.test/conf"},
		"https://fhir.example.test/conf": {200, `{"token_endpoint":"/token"}`, ""},
	}, "https://fhir.example.test/r4"); err != nil || c.TokenEndpoint != "https://fhir.example.test/token" {
		t.Errorf("%+v %v", c, err)
	}
	evil := reply{200, evilPage, ""}
	const r4 = "https://fhir.example.test/r4"
	for name, c := range map[string]struct {
		p    m
		base string
	}{
		"no TLS":             {m{"http://fhir.example.test/.well-known/smart-configuration": evil}, "http://fhir.example.test"},
		"elsewhere":          {m{well: {302, "", "https://evil.example/"}, "https://evil.example/": evil}, r4},
		"downgrade":          {m{well: {302, "", "http://fhir.example.test/c"}, "http://fhir.example.test/c": evil}, r4},
		"in a circle":        {m{well: {302, "", well}}, r4},
		"insecure endpoint":  {m{well: {200, `{"token_endpoint":"http://auth.example.test/token"}`, ""}}, r4},
		"loopback endpoint":  {m{well: {200, `{"token_endpoint":"http://127.0.0.1/token"}`, ""}}, r4},
		"file endpoint":      {m{well: {200, `{"token_endpoint":"file:///etc/passwd"}`, ""}}, r4},
		"no endpoint":        {m{well: {200, `{}`, ""}}, r4},
		"a page":             {m{well: {200, `<html>`, ""}}, r4},
		"404":                {m{well: {404, ``, ""}}, r4},
		"endless":            {m{well: {200, `{"token_endpoint":"` + strings.Repeat("a", 2<<20) + `"}`, ""}}, r4},
		"nobody there":       {m{}, r4},
		"credentials in URL": {m{}, "https://u:p@fhir.example.test/r4"},
	} {
		if got, err := find(c.p, c.base); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A server on the loopback interface may do without TLS, so that all of it can be tried.
func TestDiscoverOverASocket(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /r4/.well-known/smart-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, bytes.NewReader([]byte(`{"token_endpoint":"/token"}`)))
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":"a","expires_in":60}`)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := smart.Discover(ctx, srv.URL+"/r4", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := smart.NewRefresher(smart.Refresher{TokenURL: c.TokenEndpoint, ClientID: "app", Token: &oauth2.Token{RefreshToken: "r"}})
	if err != nil {
		t.Fatal(err)
	}
	if token, err := s.Token(); err != nil || token.AccessToken != "a" || token.RefreshToken != "r" {
		t.Errorf("%v %v", token, err)
	}
}
