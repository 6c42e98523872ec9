package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"bullion/internal/durable"
)

// Revocations says which tokens ended before their time.
//
// FileRevocations takes effect at once in every process that uses the file. Package dynamo
// keeps one item for each subject, with the table's TTL on Until, and reads the at most four subjects of a token
// in one BatchGetItem whose answer it keeps for 30 seconds: on AWS a revocation therefore
// takes effect everywhere within 30 seconds, and costs nothing while nobody asks.
type Revocations interface {
	// Revoked reports whether any of the token's subjects was revoked at or after the
	// time at which the token was issued.
	Revoked(ctx context.Context, c Claims) (bool, error)
}

// RevocationList is what the identity service needs.
type RevocationList interface {
	Revocations
	// Revoke ends tokens. Revoking twice is no error.
	Revoke(ctx context.Context, r Revocation) error
}

// Revocation ends every token of a subject that was issued at or before a time.
type Revocation struct {
	Subject string    // made by TokenSubject, UserSubject or AppCredentialSubject; no white space
	Before  time.Time // tokens issued then or before are ended
	Until   time.Time // when the last of those expires, and this can be forgotten
	User    string    // id of the user whose token it is
}

// TokenSubject is one token, and those derived from it if it was the first of its chain.
func TokenSubject(id string) string { return "token:" + id }

// UserSubject is all tokens of a user: after a new password, a changed role, a removal.
func UserSubject(id string) string { return "user:" + id }

// AppCredentialSubject is all tokens of an application credential.
func AppCredentialSubject(id string) string { return "app:" + id }

// Subjects are the subjects whose revocation ends this token.
func (c Claims) Subjects() []string {
	s := []string{TokenSubject(c.ID), UserSubject(c.UserID)}
	if c.Root != "" {
		s = append(s, TokenSubject(c.Root))
	}
	if c.AppCredential != "" {
		s = append(s, AppCredentialSubject(c.AppCredential))
	}
	return s
}

// maxRevokedTokens is how many single tokens of one user are listed. Whoever revokes more has
// all of theirs ended instead, so that nobody can make the list grow without bound.
const maxRevokedTokens = 1000

// FileRevocations keeps the list in a file to which lines are appended:
//
//	<until, Unix seconds> <before, Unix microseconds> <user> <subject>
//
// The file is written anew, without what expired, when that is most of it.
type FileRevocations struct {
	path string
	now  func() time.Time

	mu     sync.Mutex
	info   fs.FileInfo // of the file as last read
	read   int64       // bytes of it that were read, whole lines only
	lines  int
	before map[string]revoked
	tokens map[string]int // single tokens listed for each user
}

type revoked struct {
	before, until time.Time
	user          string
}

// OpenRevocations opens the list, and makes the file when it is not there.
func OpenRevocations(path string, now func() time.Time) (*FileRevocations, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the list of revoked tokens: %w", err)
	}
	f.Close()
	l := &FileRevocations{path: path, now: now}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l, l.refresh()
}

// Revoked implements Revocations.
func (l *FileRevocations) Revoked(_ context.Context, c Claims) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(); err != nil {
		return false, err
	}
	for _, s := range c.Subjects() {
		if r, ok := l.before[s]; ok && !c.IssuedAt.After(r.before) {
			return true, nil
		}
	}
	return false, nil
}

// Revoke implements RevocationList. When it returns the revocation is on disk.
func (l *FileRevocations) Revoke(_ context.Context, r Revocation) error {
	if r.Subject == "" || strings.ContainsFunc(r.Subject+r.User, func(c rune) bool { return c <= ' ' }) {
		return errors.New("revoke: the subject or the user is not an id")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	unlock, err := lockFile(l.path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.refresh(); err != nil {
		return err
	}
	if have, ok := l.before[r.Subject]; ok && !have.before.Before(r.Before) && !have.until.Before(r.Until) {
		return nil
	}
	if strings.HasPrefix(r.Subject, "token:") && r.User != "" && l.tokens[r.User] >= maxRevokedTokens {
		r.Subject = UserSubject(r.User)
	}
	if l.lines > 2*len(l.before)+maxRevokedTokens {
		if err := l.compact(); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	defer f.Close()
	line := r.line()
	if l.info.Size() > l.read { // half a line, from a crash
		line = "\n" + line
	}
	if _, err := f.WriteString(line); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return l.refresh()
}

func (r Revocation) line() string {
	user := r.User
	if user == "" {
		user = "-"
	}
	// Rounded up: forgotten only when surely over, and never too early in the same microsecond.
	return fmt.Sprintf("%d %d %s %s\n", r.Until.Unix()+1, r.Before.UnixMicro(), user, r.Subject)
}

// refresh reads what was added to the file, or all of it when it is another file.
func (l *FileRevocations) refresh() error {
	info, err := os.Stat(l.path)
	if err != nil {
		return fmt.Errorf("read the list of revoked tokens: %w", err)
	}
	switch {
	case l.info != nil && sameFile(l.info, info):
		return nil
	case l.info == nil || !os.SameFile(l.info, info) || info.Size() < l.read:
		if err := checkMode(l.path, info); err != nil {
			return err
		}
		l.read, l.lines, l.before, l.tokens = 0, 0, map[string]revoked{}, map[string]int{}
	}
	f, err := os.Open(l.path)
	if err != nil {
		return fmt.Errorf("read the list of revoked tokens: %w", err)
	}
	defer f.Close()
	added, err := io.ReadAll(io.NewSectionReader(f, l.read, info.Size()-l.read))
	if err != nil {
		return fmt.Errorf("read the list of revoked tokens: %w", err)
	}
	whole := bytes.LastIndexByte(added, '\n') + 1
	for line := range strings.Lines(string(added[:whole])) {
		l.lines++
		l.add(line)
	}
	l.read += int64(whole)
	l.info = info
	return nil
}

// add takes in one line. One that cannot be read is the half of a revocation that was never
// acknowledged, and is passed over.
func (l *FileRevocations) add(line string) {
	part := strings.Fields(line)
	if len(part) != 4 {
		return
	}
	until, err1 := strconv.ParseInt(part[0], 10, 64)
	before, err2 := strconv.ParseInt(part[1], 10, 64)
	if err1 != nil || err2 != nil || !time.Unix(until, 0).After(l.now()) {
		return
	}
	r := revoked{time.UnixMicro(before), time.Unix(until, 0), part[2]}
	subject := part[3]
	have, ok := l.before[subject]
	if !ok && strings.HasPrefix(subject, "token:") {
		l.tokens[r.user]++
	}
	if have.before.After(r.before) {
		r.before = have.before
	}
	if have.until.After(r.until) {
		r.until = have.until
	}
	l.before[subject] = r
	if len(l.before)%1024 == 0 {
		l.forget()
	}
}

// forget drops what expired from memory.
func (l *FileRevocations) forget() {
	now := l.now()
	for s, r := range l.before {
		if !r.until.After(now) {
			delete(l.before, s)
			if strings.HasPrefix(s, "token:") {
				if l.tokens[r.user]--; l.tokens[r.user] <= 0 {
					delete(l.tokens, r.user)
				}
			}
		}
	}
}

// compact writes the file anew. The lock is held.
func (l *FileRevocations) compact() error {
	l.forget()
	var doc bytes.Buffer
	for s, r := range l.before {
		user := r.user
		if user == "-" {
			user = ""
		}
		doc.WriteString(Revocation{Subject: s, Before: r.before, Until: r.until.Add(-time.Second), User: user}.line())
	}
	if err := durable.WriteFile(l.path, doc.Bytes()); err != nil {
		return err
	}
	return l.refresh()
}
