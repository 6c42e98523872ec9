package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"bullion/internal/images"

	"golang.org/x/crypto/argon2"
)

// Passwords are hashed with argon2id. Twelve MiB, three passes and one lane is one of the
// settings that the OWASP password storage sheet gives as equally strong; it is chosen over 19 MiB
// and two passes because at most hashSlots of them run at once and the whole service
// must fit into 128 MiB. The settings are stored with each hash, so they can be raised later.
const (
	argonMemory = 12 << 10 // KiB
	argonTime   = 3
	argonLanes  = 1
	hashSlots   = 2
	hashWaiters = 64 // more than this waiting for a slot is answered 503 at once
	maxPassword = 512
)

// hasher runs argon2 with bounded memory, and remembers right passwords for a short while.
//
// Command-line tools sign in before every request, always with the same right password. The
// memory holds an HMAC of the password under a key that dies with the process; it is bound to
// the stored hash, so a changed password is forgotten at once. A wrong password never
// hits it and always costs a full hash.
type hasher struct {
	key   [32]byte
	mu    sync.Mutex
	known map[[32]byte]time.Time // until when
	now   func() time.Time
}

// The bound on hashes at once is the process's, because its memory is what it protects.
var (
	slots   = make(chan struct{}, hashSlots)
	waiting = make(chan struct{}, hashWaiters)
)

const (
	rememberFor = 5 * time.Minute
	rememberMax = 1024
)

func newHasher(now func() time.Time) *hasher {
	h := &hasher{known: map[[32]byte]time.Time{}, now: now}
	rand.Read(h.key[:])
	return h
}

// dummyHash is checked against when there is no such user, so that the answer takes as long.
var dummyHash = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
	b64(make([]byte, 16)), b64(make([]byte, 32)))

// enter waits for a place to hash in.
func enter(ctx context.Context) (leave func(), err error) {
	select {
	case waiting <- struct{}{}:
		defer func() { <-waiting }()
	default:
		return nil, images.Errorf(images.Unavailable, "too many sign-ins at once: try again in a few seconds")
	}
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, images.Wrap(images.Unavailable, ctx.Err(), "the sign-in took too long: try again")
	}
}

// hash makes the string that is stored for a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	leave, err := enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, 16)
	rand.Read(salt)
	sum := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, 32)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64(salt), b64(sum)), nil
}

// check says whether the password belongs to the stored hash. An error means that it could
// not be found out.
func (h *hasher) check(ctx context.Context, stored, password string) (bool, error) {
	if len(password) > maxPassword {
		password, stored = "", dummyHash // too long to be right; still costs the same
	}
	if strings.HasPrefix(stored, "$sha256$") {
		return checkSecret(stored, password), nil
	}
	mark := h.mark(stored, password)
	if h.remembers(mark) {
		return true, nil
	}
	p, err := parseArgon(stored)
	if err != nil {
		return false, err
	}
	leave, err := enter(ctx)
	if err != nil {
		return false, err
	}
	sum := argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.lanes, uint32(len(p.sum)))
	leave()
	ok := subtle.ConstantTimeCompare(sum, p.sum) == 1 && stored != dummyHash
	if ok {
		h.remember(mark)
	}
	return ok, nil
}

// waste takes as long as a check that fails.
func (h *hasher) waste(ctx context.Context, password string) {
	_, _ = h.check(ctx, dummyHash, password)
}

func (h *hasher) mark(stored, password string) (m [32]byte) {
	mac := hmac.New(sha256.New, h.key[:])
	fmt.Fprintf(mac, "%d:%s%s", len(stored), stored, password)
	mac.Sum(m[:0])
	return m
}

func (h *hasher) remembers(m [32]byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now().Before(h.known[m])
}

func (h *hasher) remember(m [32]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known) >= rememberMax {
		clear(h.known)
	}
	h.known[m] = h.now().Add(rememberFor)
}

type argonHash struct {
	memory, time uint32
	lanes        uint8
	salt, sum    []byte
}

// parseArgon reads the PHC string form and refuses settings that would take the machine down.
func parseArgon(s string) (argonHash, error) {
	var p argonHash
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, errors.New("a stored password hash is not argon2id: set the password again")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.lanes); err != nil {
		return p, fmt.Errorf("a stored password hash has unreadable settings: %w", err)
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return p, fmt.Errorf("a stored password hash has an unreadable salt: %w", err)
	}
	if p.sum, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return p, fmt.Errorf("a stored password hash has an unreadable sum: %w", err)
	}
	if p.memory < 8 || p.memory > 64<<10 || p.time < 1 || p.time > 16 || p.lanes < 1 || p.lanes > 4 || len(p.salt) < 8 || len(p.sum) < 16 || len(p.sum) > 64 {
		return p, errors.New("a stored password hash has settings out of range: set the password again")
	}
	return p, nil
}

// newSecret makes a secret of 256 random bits and the hash to store for it. A plain SHA-256 is
// enough for a secret that cannot be guessed, and spares programs the cost of argon2.
func newSecret() (secret, stored string) {
	var raw [32]byte
	rand.Read(raw[:])
	secret = base64.RawURLEncoding.EncodeToString(raw[:])
	sum := sha256.Sum256([]byte(secret))
	return secret, "$sha256$" + hex.EncodeToString(sum[:])
}

func checkSecret(stored, secret string) bool {
	want, err := hex.DecodeString(strings.TrimPrefix(stored, "$sha256$"))
	sum := sha256.Sum256([]byte(secret))
	return err == nil && subtle.ConstantTimeCompare(want, sum[:]) == 1
}

// NewPassword makes a random password of 20 letters and digits (119 bits).
func NewPassword() string {
	const letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789" // none that look alike
	out := make([]byte, 0, 20)
	var b [1]byte
	for len(out) < cap(out) {
		rand.Read(b[:])
		if i := int(b[0]); i < 256-256%len(letters) {
			out = append(out, letters[i%len(letters)])
		}
	}
	return string(out)
}

// newID makes an identifier as Keystone's: a random UUID without its dashes.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}

func b64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }
