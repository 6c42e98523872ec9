// Package ssmkeys keeps the signing keys in AWS Systems Manager Parameter Store, in two standard parameters, which cost nothing:
//
//	PrivateName   SecureString   the whole ring; only the identity function may read or write it
//	PublicName    String         the public keys; every function may read it
//
// The identity function needs ssm:GetParameter and ssm:PutParameter on both (and kms:Decrypt, kms:Encrypt through SSM when the
// SecureString has a key of the customer's own); the other functions ssm:GetParameter on the public one.
//
// The first key is made when there is none. A key is replaced after RotateEvery by whichever instance first notices. The new
// key signs only after Delay, and every instance reads the parameters again within Refresh, which is shorter: so each verifier knows a key before it
// meets it, and when two instances rotate at once the later ring wins before either key was used.
package ssmkeys

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"bullion/internal/identity"
	"bullion/internal/images"
)

// The times of a key.
const (
	Refresh     = 5 * time.Minute     // between readings of the parameters
	Delay       = 15 * time.Minute    // from a key's making to its first signature
	RotateEvery = 90 * 24 * time.Hour // of use of a key
	askAgain    = 10 * time.Second    // between readings because of an unknown key or a failure
)

// Source implements identity.KeySource for the identity function.
type Source struct {
	Client      *ssm.Client
	PrivateName string
	PublicName  string
	Lifetime    time.Duration    // of the longest token; zero: identity.MaxTokenLifetime
	Now         func() time.Time // nil: time.Now

	mu     sync.Mutex
	ring   identity.Keyring
	loaded time.Time
}

// Public implements identity.KeySet for the functions that verify.
type Public struct {
	Client *ssm.Client
	Name   string
	Now    func() time.Time // nil: time.Now

	mu     sync.Mutex
	ring   identity.Keyring
	loaded time.Time // last success
	asked  time.Time // last attempt
	failed error     // of the last attempt
}

var (
	_ identity.KeySource = (*Source)(nil)
	_ identity.KeySet    = (*Public)(nil)
)

func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}

// Signer implements identity.KeySource.
func (s *Source) Signer(ctx context.Context) (string, ed25519.PrivateKey, error) {
	ring, err := s.current(ctx)
	if err != nil {
		return "", nil, err
	}
	return ring.Signer(clock(s.Now))
}

// PublicKey implements identity.KeySet.
func (s *Source) PublicKey(ctx context.Context, id string) (ed25519.PublicKey, error) {
	ring, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	return ring.Public(id, clock(s.Now))
}

// current returns the ring, read at most Refresh ago.
func (s *Source) current(ctx context.Context) (identity.Keyring, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := clock(s.Now)
	if !s.loaded.IsZero() && now.Sub(s.loaded) < Refresh {
		return s.ring, nil
	}
	ring, err := s.load(ctx, now)
	if err != nil {
		return identity.Keyring{}, images.Wrap(images.Unavailable, err, "tokens cannot be issued at the moment: try again")
	}
	s.ring, s.loaded = ring, now
	return ring, nil
}

// load reads the ring, makes or rotates it where that is due, and puts the public half beside it.
func (s *Source) load(ctx context.Context, now time.Time) (identity.Keyring, error) {
	ring, found, err := get(ctx, s.Client, s.PrivateName)
	if err != nil {
		return ring, err
	}
	if !found {
		if err := s.put(ctx, s.PrivateName, identity.NewKeyring(now), types.ParameterTypeSecureString, false); err != nil && !is[*types.ParameterAlreadyExists](err) {
			return ring, err
		}
		if ring, _, err = get(ctx, s.Client, s.PrivateName); err != nil { // ours, or another instance's
			return ring, err
		}
	}
	if now.Sub(ring.Newest()) > RotateEvery {
		lifetime := s.Lifetime
		if lifetime == 0 {
			lifetime = identity.MaxTokenLifetime
		}
		ring = ring.Rotate(now, Delay, lifetime)
		if err := s.put(ctx, s.PrivateName, ring, types.ParameterTypeSecureString, true); err != nil {
			return ring, err
		}
	}
	public, found, err := get(ctx, s.Client, s.PublicName)
	if err != nil {
		return ring, err
	}
	if !found || !same(public, ring.PublicOnly()) {
		return ring, s.put(ctx, s.PublicName, ring.PublicOnly(), types.ParameterTypeString, true)
	}
	return ring, nil
}

func (s *Source) put(ctx context.Context, name string, ring identity.Keyring, kind types.ParameterType, overwrite bool) error {
	doc, err := json.Marshal(ring)
	if err != nil {
		return err
	}
	_, err = s.Client.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: aws.String(string(doc)), Type: kind, Overwrite: &overwrite, Tier: types.ParameterTierStandard})
	if err != nil {
		return fmt.Errorf("write the parameter %s: %w", name, err)
	}
	return nil
}

// get reads a ring; false when there is none.
func get(ctx context.Context, client *ssm.Client, name string) (identity.Keyring, bool, error) {
	out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	if is[*types.ParameterNotFound](err) {
		return identity.Keyring{}, false, nil
	}
	if err != nil {
		return identity.Keyring{}, false, fmt.Errorf("read the parameter %s: %w", name, err)
	}
	ring, err := identity.ParseKeyring([]byte(aws.ToString(out.Parameter.Value)))
	if err != nil {
		return ring, false, fmt.Errorf("the parameter %s: %w", name, err)
	}
	return ring, true, nil
}

func same(a, b identity.Keyring) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// PublicKey implements identity.KeySet. While Parameter Store does not answer the keys that were read before go on counting.
func (p *Public) PublicKey(ctx context.Context, id string) (ed25519.PublicKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := clock(p.Now)
	key, err := p.ring.Public(id, now)
	// An unknown id is a new key, or somebody's invention: the parameter is read for it, but not often.
	stale := p.loaded.IsZero() || now.Sub(p.loaded) >= Refresh || err != nil
	if stale && now.Sub(p.asked) >= askAgain {
		p.asked = now
		ring, found, fault := get(ctx, p.Client, p.Name)
		p.failed = fault
		switch {
		case fault == nil && found:
			p.ring, p.loaded = ring, now
		case fault == nil: // nobody has signed in yet
			p.ring, p.loaded = identity.Keyring{}, now
		}
		key, err = p.ring.Public(id, now)
	}
	if err != nil && p.loaded.IsZero() {
		return nil, images.Wrap(images.Unavailable, p.failed, "the public keys could not be read")
	}
	return key, err
}
