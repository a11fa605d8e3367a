package smart

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"time"
)

// Key signs a client's assertions: by RS384 if it is RSA, by ES384 if it is on the curve P-384, the two that SMART asks for.
type Key struct {
	// ID is the key's id ("kid") in the JWK Set that the server knows.
	ID string
	// Signer holds the private key, or reaches it: a key management service will do.
	Signer crypto.Signer
	// JWKSetURL, if it is set, is named in the assertions ("jku"): where the public key is found.
	JWKSetURL string
}

var errKey = errors.New("smart: a key must be RSA with at least 2048 bits, or EC on the curve P-384")

var errSign = errors.New("the key does not sign")

// ParseKey reads a private key in PEM (PKCS #8, PKCS #1 or SEC 1) or as a JWK, or the first private one of a JWK Set. id is its key id; "":
// the "kid" of the JWK. Where id is given and the set has a key of that id, it is that one.
func ParseKey(data []byte, id string) (*Key, error) {
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		var (
			parsed any
			err    error
		)
		switch block.Type {
		case "PRIVATE KEY":
			parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			parsed, err = x509.ParseECPrivateKey(block.Bytes)
		default:
			continue // EC PARAMETERS, a certificate.
		}
		signer, ok := parsed.(crypto.Signer)
		if err != nil || !ok {
			return nil, errors.New("smart: the PEM block holds no private key that can be read")
		}
		return (&Key{ID: id, Signer: signer}).checked()
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errors.New("smart: neither PEM nor a JWK")
	}
	if set.Keys == nil {
		return parseJWK(data, id)
	}
	var first *Key
	for _, raw := range set.Keys {
		key, err := parseJWK(raw, "")
		if err != nil {
			continue // public keys, and others than we can use, may stand in the same set.
		}
		if key.ID == id {
			return key, nil
		}
		if first == nil {
			first = key
		}
	}
	if first == nil {
		return nil, errors.New("smart: no private key in the JWK Set that could be used")
	}
	if id != "" {
		return nil, errors.New("smart: no private key of that id in the JWK Set")
	}
	return first, nil
}

func (k *Key) checked() (*Key, error) {
	_, err := k.alg()
	if err != nil {
		return nil, err
	}
	return k, nil
}

// alg gives the algorithm of the key.
func (k *Key) alg() (string, error) {
	if k == nil || k.Signer == nil {
		return "", errors.New("smart: no key")
	}
	switch pub := k.Signer.Public().(type) {
	case *rsa.PublicKey:
		if pub.N.BitLen() >= 2048 {
			return "RS384", nil
		}
	case *ecdsa.PublicKey:
		if pub.Curve == elliptic.P384() {
			return "ES384", nil
		}
	}
	return "", errKey
}

func parseJWK(data []byte, id string) (*Key, error) {
	var j struct{ Kty, Kid, Crv, N, E, D, P, Q, X, Y string }
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, errors.New("smart: the JWK cannot be read")
	}
	if id == "" {
		id = j.Kid
	}
	bad := false
	num := func(s string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil || len(b) == 0 || len(b) > 2048 {
			bad = true
			return new(big.Int)
		}
		return new(big.Int).SetBytes(b)
	}
	if j.D == "" {
		return nil, errors.New("smart: the JWK holds no private key")
	}
	switch j.Kty {
	case "RSA":
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: num(j.N)}, D: num(j.D), Primes: []*big.Int{num(j.P), num(j.Q)}}
		e := num(j.E)
		if bad || !e.IsInt64() || e.Int64() < 3 || e.BitLen() > 31 {
			return nil, errors.New("smart: the JWK lacks a part, or it cannot be read")
		}
		key.E = int(e.Int64())
		if err := key.Validate(); err != nil {
			return nil, errors.New("smart: the parts of the JWK do not belong together")
		}
		key.Precompute()
		return (&Key{ID: id, Signer: key}).checked()
	case "EC":
		d, x, y := num(j.D), num(j.X), num(j.Y)
		if bad || j.Crv != "P-384" || d.BitLen() > 384 || x.BitLen() > 384 || y.BitLen() > 384 {
			return nil, errKey
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), d.FillBytes(make([]byte, 48)))
		if err != nil {
			return nil, errors.New("smart: the JWK cannot be read")
		}
		point := append([]byte{4}, x.FillBytes(make([]byte, 48))...)
		named, err := ecdsa.ParseUncompressedPublicKey(elliptic.P384(), append(point, y.FillBytes(make([]byte, 48))...))
		if err != nil || !key.PublicKey.Equal(named) {
			return nil, errors.New("smart: the parts of the JWK do not belong together")
		}
		return (&Key{ID: id, Signer: key}).checked()
	}
	return nil, errKey
}

// assertionLife is how long an assertion is good for. Five minutes are the most that are allowed, by the server's clock.
const assertionLife = 4 * time.Minute

// assertion makes the JWT by which a client authenticates itself (RFC 7523).
func (k *Key) assertion(clientID, tokenURL string, now time.Time) (string, error) {
	alg, err := k.alg()
	if err != nil {
		return "", err
	}
	header := struct {
		Alg string `json:"alg"`
		Kid string `json:"kid,omitempty"`
		Typ string `json:"typ"`
		Jku string `json:"jku,omitempty"`
	}{alg, k.ID, "JWT", k.JWKSetURL}
	claims := struct {
		Iss string `json:"iss"`
		Sub string `json:"sub"`
		Aud string `json:"aud"`
		Exp int64  `json:"exp"`
		Iat int64  `json:"iat"`
		Jti string `json:"jti"`
	}{clientID, clientID, tokenURL, now.Add(assertionLife).Unix(), now.Unix(), rand.Text()}
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString(h) + "." + enc.EncodeToString(c)
	sum := sha512.Sum384([]byte(text))
	sig, err := k.Signer.Sign(rand.Reader, sum[:], crypto.SHA384)
	if err != nil {
		return "", errSign
	}
	if alg == "ES384" {
		// A JWT has the two numbers side by side, a Signer gives them in ASN.1.
		var rs struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(sig, &rs); err != nil || len(rest) > 0 || rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.BitLen() > 384 || rs.S.BitLen() > 384 {
			return "", errSign
		}
		sig = append(rs.R.FillBytes(make([]byte, 48)), rs.S.FillBytes(make([]byte, 48))...)
	}
	return text + "." + enc.EncodeToString(sig), nil
}
