package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"bullion/internal/durable"
	"bullion/internal/images"
)

// KeySet is the public half: what a verifier needs.
type KeySet interface {
	// PublicKey returns the key with this id. A key that is unknown or past its
	// time is images.NotFound; any other error means that the keys could not be read.
	PublicKey(ctx context.Context, id string) (ed25519.PublicKey, error)
}

// KeySource is the private half: where the signing keys are kept. On one machine
// that is a file (OpenKeyFile), on AWS a SecureString parameter (package ssmkeys), which costs
// nothing while idle, unlike a KMS key.
type KeySource interface {
	KeySet
	// Signer returns the key to sign with now, and its id.
	Signer(ctx context.Context) (id string, key ed25519.PrivateKey, err error)
}

// Keyring is the document that holds the signing keys, oldest first.
//
// A key has three ages. From its making it verifies; from SignsFrom it also signs, which is
// later than every verifier can learn of it; when a newer key signs it only verifies, until
// Expires, when the last token that it signed has expired. So a rotation is never noticed.
type Keyring struct {
	Keys []Key `json:"keys"`
}

// Key is one signing key. Seed is empty in the public form.
type Key struct {
	ID        string            `json:"id"`
	Public    ed25519.PublicKey `json:"public"`
	Seed      []byte            `json:"seed,omitempty"`
	SignsFrom time.Time         `json:"signs_from"`
	Expires   time.Time         `json:"expires,omitzero"` // zero while the key is the newest
}

// NewKeyring makes a ring with one key that signs from now on.
func NewKeyring(now time.Time) Keyring {
	return Keyring{Keys: []Key{newKey(now)}}
}

func newKey(signsFrom time.Time) Key {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil { // crypto/rand.Reader does not fail
		panic(err)
	}
	return Key{ID: hex.EncodeToString(public[:6]), Public: public, Seed: private.Seed(), SignsFrom: signsFrom.UTC().Truncate(time.Second)}
}

// Rotate adds a key that signs from now+delay on, lets the present one verify for lifetime (that of the
// longest token) after that, and drops keys whose time is over. The delay must be longer than
// any verifier keeps public keys before it reads them again.
func (k Keyring) Rotate(now time.Time, delay, lifetime time.Duration) Keyring {
	next := newKey(now.Add(delay))
	var out Keyring
	for _, key := range k.Keys {
		if key.Expires.IsZero() {
			key.Expires = next.SignsFrom.Add(lifetime)
		}
		if key.Expires.After(now) {
			out.Keys = append(out.Keys, key)
		}
	}
	out.Keys = append(out.Keys, next)
	return out
}

// Newest is when the newest key was or will be put to use.
func (k Keyring) Newest() time.Time { return k.Keys[len(k.Keys)-1].SignsFrom }

// PublicOnly is the ring without its secrets, for the functions that verify.
func (k Keyring) PublicOnly() Keyring {
	out := Keyring{Keys: make([]Key, len(k.Keys))}
	copy(out.Keys, k.Keys)
	for i := range out.Keys {
		out.Keys[i].Seed = nil
	}
	return out
}

// Public returns the key with this id, or images.NotFound.
func (k Keyring) Public(id string, now time.Time) (ed25519.PublicKey, error) {
	for _, key := range k.Keys {
		if key.ID == id && (key.Expires.IsZero() || now.Before(key.Expires)) {
			return key.Public, nil
		}
	}
	return nil, images.Errorf(images.NotFound, "no such signing key")
}

// Signer returns the newest key that may sign now.
func (k Keyring) Signer(now time.Time) (string, ed25519.PrivateKey, error) {
	for i := len(k.Keys) - 1; i >= 0; i-- {
		if key := k.Keys[i]; !now.Before(key.SignsFrom) && len(key.Seed) == ed25519.SeedSize {
			return key.ID, ed25519.NewKeyFromSeed(key.Seed), nil
		}
	}
	return "", nil, errors.New("no signing key may be used yet: is the clock of this machine right?")
}

// ParseKeyring reads a ring, private or public, and checks every key in it.
func ParseKeyring(doc []byte) (Keyring, error) {
	var k Keyring
	if err := json.Unmarshal(doc, &k); err != nil {
		return k, fmt.Errorf("the signing keys are not readable as JSON: %w", err)
	}
	if len(k.Keys) == 0 {
		return k, errors.New("the document of signing keys has no key in it")
	}
	for _, key := range k.Keys {
		if key.ID == "" || len(key.Public) != ed25519.PublicKeySize {
			return k, fmt.Errorf("signing key %q has no id or no whole public key", key.ID)
		}
		if key.Seed == nil {
			continue
		}
		if len(key.Seed) != ed25519.SeedSize || !ed25519.NewKeyFromSeed(key.Seed).Public().(ed25519.PublicKey).Equal(key.Public) {
			return k, fmt.Errorf("signing key %q does not belong to its public key", key.ID)
		}
	}
	return k, nil
}

// StaticKeys is a ring that does not change: public keys from configuration, or a test's.
type StaticKeys struct {
	Ring Keyring
	Now  func() time.Time
}

// PublicKey implements KeySet.
func (s StaticKeys) PublicKey(_ context.Context, id string) (ed25519.PublicKey, error) {
	return s.Ring.Public(id, s.Now())
}

// Signer implements KeySource.
func (s StaticKeys) Signer(context.Context) (string, ed25519.PrivateKey, error) {
	return s.Ring.Signer(s.Now())
}

// KeyFile keeps the signing keys in one file with mode 0600. It notices when another process
// rotates them.
type KeyFile struct {
	path string
	now  func() time.Time
	last atomic.Pointer[loadedRing]
}

type loadedRing struct {
	ring Keyring
	info fs.FileInfo
}

// OpenKeyFile opens the file, and makes it with a first key when it is not there.
func OpenKeyFile(path string, now func() time.Time) (*KeyFile, error) {
	f := &KeyFile{path: path, now: now}
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := f.write(NewKeyring(now())); err != nil {
			return nil, err
		}
	}
	_, err = f.load()
	return f, err
}

// Rotate starts a new signing key and keeps the old one valid for lifetime, that of the longest token.
// Verifiers on the same machine read this file, so the new key signs at once.
func (f *KeyFile) Rotate(lifetime time.Duration) error {
	unlock, err := lockFile(f.path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	ring, err := f.load()
	if err != nil {
		return err
	}
	return f.write(ring.Rotate(f.now(), 0, lifetime))
}

// PublicKey implements KeySet.
func (f *KeyFile) PublicKey(_ context.Context, id string) (ed25519.PublicKey, error) {
	ring, err := f.load()
	if err != nil {
		return nil, err
	}
	return ring.Public(id, f.now())
}

// Signer implements KeySource.
func (f *KeyFile) Signer(context.Context) (string, ed25519.PrivateKey, error) {
	ring, err := f.load()
	if err != nil {
		return "", nil, err
	}
	return ring.Signer(f.now())
}

func (f *KeyFile) load() (Keyring, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return Keyring{}, fmt.Errorf("read the signing keys: %w", err)
	}
	if last := f.last.Load(); last != nil && sameFile(last.info, info) {
		return last.ring, nil
	}
	if err := checkMode(f.path, info); err != nil {
		return Keyring{}, err
	}
	doc, err := os.ReadFile(f.path)
	if err != nil {
		return Keyring{}, fmt.Errorf("read the signing keys: %w", err)
	}
	ring, err := ParseKeyring(doc)
	if err != nil {
		return ring, fmt.Errorf("%s: %w", filepath.Base(f.path), err)
	}
	f.last.Store(&loadedRing{ring, info})
	return ring, nil
}

func (f *KeyFile) write(ring Keyring) error {
	doc, err := json.MarshalIndent(ring, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(f.path, doc)
}
