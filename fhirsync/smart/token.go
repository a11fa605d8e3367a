package smart

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// ParseToken reads the answer of a token endpoint. What stands in it beside the usual is kept as the token's extras: token.Extra("patient").
// now is when the answer was asked for, from which its lifetime counts; a lifetime that is absent or cannot be understood leaves Expiry
// zero, and such a token is used until it is rejected. Lifetimes with a fraction or in quotes were seen and are understood.
func ParseToken(answer []byte, now time.Time) (*oauth2.Token, error) {
	var fields map[string]any
	if err := json.Unmarshal(answer, &fields); err != nil {
		return nil, errNotJSON
	}
	access, _ := fields["access_token"].(string)
	if access == "" {
		return nil, errors.New("answer without an access token")
	}
	if strings.ContainsFunc(access, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("an access token that no header can carry")
	}
	t := &oauth2.Token{AccessToken: access}
	t.TokenType, _ = fields["token_type"].(string)       // absent: Bearer.
	t.RefreshToken, _ = fields["refresh_token"].(string) // absent: the one that is there stays.
	if seconds, ok := number(fields["expires_in"]); ok && seconds > 0 {
		const most = 10 * 365 * 24 * 3600
		t.ExpiresIn = int64(math.Min(seconds, most))
		t.Expiry = now.Add(time.Duration(math.Min(seconds, most) * float64(time.Second)))
	}
	return t.WithExtra(fields), nil
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case string:
		n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return n, err == nil && n == n
	}
	return 0, false
}

// Patient gives the logical id of the Patient for whom a token was given; "": the answer did not say.
func Patient(t *oauth2.Token) string { return extra(t, "patient") }

// Scope gives the scope that was granted, which may be less than what was asked for; "": the answer did not say.
func Scope(t *oauth2.Token) string { return extra(t, "scope") }

func extra(t *oauth2.Token, name string) string {
	if t == nil {
		return ""
	}
	s, _ := t.Extra(name).(string)
	return s
}
