// Package oidctest is an OpenID Connect provider for tests: discovery, keys, and tokens of which the test says what they claim.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// Audience is for whom tokens are when their claims do not say.
const Audience = "bullion-cli"

// Issuer is a provider that runs on loopback until the test ends. Its tokens are signed with ES256.
type Issuer struct {
	*httptest.Server
	Down atomic.Bool  // discovery fails
	Asks atomic.Int32 // for discovery

	key *ecdsa.PrivateKey
}

// Start runs a provider.
func Start(t testing.TB) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		i.Asks.Add(1)
		if i.Down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/a", "token_endpoint": i.URL + "/t",
			"id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// Token signs claims, over those that every token has: erin's, for Audience, good for ten minutes from now, in acme and lab. A claim of nil is left out.
func (i *Issuer) Token(t testing.TB, now time.Time, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": i.URL, "sub": "subject-1", "aud": Audience, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "preferred_username": "erin",
		"groups": []string{"acme:member", "lab:reader", "other"}}
	for k, v := range claims {
		if all[k] = v; v == nil {
			delete(all, k)
		}
	}
	return Sign(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k1"}}, all)
}

// Sign makes a token with a key of the caller's.
func Sign(t testing.TB, key jose.SigningKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
