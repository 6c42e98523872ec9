package transfer

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"bullion/cmd/bullion/internal/glance"
)

// Digest is a hash that the bytes of an image are known to have.
type Digest struct {
	Algorithm string // sha512, sha256 or md5; "" when none is known
	Value     string // hex, lower case
}

// DigestOf is the best hash in an image's record.
func DigestOf(i *glance.Image) Digest {
	switch {
	case i.HashValue != "" && (i.HashAlgo == "sha512" || i.HashAlgo == "sha256"):
		return Digest{i.HashAlgo, strings.ToLower(i.HashValue)}
	case i.Checksum != "":
		return Digest{"md5", strings.ToLower(i.Checksum)}
	}
	return Digest{}
}

// Hash starts a hash of that algorithm.
func (d Digest) Hash() hash.Hash {
	switch d.Algorithm {
	case "sha256":
		return sha256.New()
	case "md5":
		return md5.New()
	}
	return sha512.New()
}

// Check says whether h is of the right bytes.
func (d Digest) Check(h hash.Hash) error {
	if got := hex.EncodeToString(h.Sum(nil)); d.Algorithm != "" && got != d.Value {
		return &Damaged{d, got}
	}
	return nil
}

// Damaged is the error of bytes that are not the image's.
type Damaged struct {
	Want Digest
	Got  string
}

func (e *Damaged) Error() string {
	return fmt.Sprintf("the bytes that arrived are not those of the image: their %s begins with %.16s, that of the image with %.16s", e.Want.Algorithm, e.Got, e.Want.Value)
}

// Target is a file that an image is saved to. Until it is whole and right it is a part file in the same folder, which a later Target goes on with:
// its name has the hash of the image in it. Runs of zeros become holes.
type Target struct {
	path, part string
	size       int64
	digest     Digest
	hash       hash.Hash
	file       *os.File
	left, at   int64
}

// OpenTarget begins to save size bytes to path. When Left says that an earlier Target of the same bytes left some, Adopt goes on with them.
func OpenTarget(path string, size int64, d Digest) (*Target, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("path %s is not a regular file; name a file to save to, or - for standard output", path)
	}
	dir, name := filepath.Split(path)
	id := d.Value
	if id == "" {
		id = "unknown"
	}
	t := &Target{path: path, size: size, digest: d, hash: d.Hash(), part: filepath.Join(dir, fmt.Sprintf(".%s.%.16s.part", name, id))}
	file, err := os.OpenFile(t.part, os.O_RDWR|os.O_CREATE, 0o666)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no folder %s; make it first", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("you may not write in folder %s; save to another", filepath.Dir(path))
	case err != nil:
		return nil, fmt.Errorf("make a file in %s: %w", filepath.Dir(path), err)
	}
	t.file = file
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("look at %s: %w", t.part, err)
	}
	// What nothing can be compared with, and what is too much, is not gone on with.
	if t.left = info.Size(); d.Algorithm == "" || t.left > size {
		t.left = 0
		if err := t.Restart(); err != nil {
			file.Close()
			return nil, err
		}
	}
	return t, nil
}

// Left is how many bytes an earlier Target left.
func (t *Target) Left() int64 { return t.left }

// Adopt hashes what an earlier Target left, so that writing goes on behind it. progress may be nil.
func (t *Target) Adopt(ctx context.Context, progress *Progress) error {
	progress.begin(t.left, 0)
	buffer := make([]byte, 1<<20)
	for t.at < t.left && ctx.Err() == nil {
		n, err := t.file.ReadAt(buffer[:min(int64(len(buffer)), t.left-t.at)], t.at)
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			return fmt.Errorf("read %s, which an earlier download left: %w", t.part, err)
		}
		t.hash.Write(buffer[:n])
		t.at += int64(n)
		progress.add(int64(n))
	}
	return context.Cause(ctx)
}

// At is how many bytes are there.
func (t *Target) At() int64 { return t.at }

// Part is the path of the part file.
func (t *Target) Part() string { return t.part }

// Restart forgets what is there.
func (t *Target) Restart() error {
	t.at = 0
	t.hash.Reset()
	if err := t.file.Truncate(0); err != nil {
		return fmt.Errorf("empty %s: %w", t.part, err)
	}
	return nil
}

// Write appends p.
func (t *Target) Write(p []byte) (int, error) {
	var hashing sync.WaitGroup
	hashing.Go(func() { t.hash.Write(p) }) // the slower half, on the other processor
	err := t.store(p)
	hashing.Wait()
	if err != nil {
		return 0, err
	}
	t.at += int64(len(p))
	return len(p), nil
}

const block = 64 << 10

var zeros [block]byte

// store writes p at the end and leaves holes for aligned blocks of zeros.
func (t *Target) store(p []byte) error {
	for done := 0; done < len(p); {
		end := done
		for end < len(p) && !bytes.Equal(p[end:min(end+block, len(p))], zeros[:min(block, len(p)-end)]) {
			end = min(end+block, len(p))
		}
		if end > done {
			if _, err := t.file.WriteAt(p[done:end], t.at+int64(done)); err != nil {
				return t.explain(err)
			}
		}
		for done = end; done < len(p) && bytes.Equal(p[done:min(done+block, len(p))], zeros[:min(block, len(p)-done)]); {
			done = min(done+block, len(p))
		}
	}
	return nil
}

func (t *Target) explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("there is no room left in %s for the remaining %d of %d bytes; make room and run the same command again, which goes on from there",
			filepath.Dir(t.path), t.size-t.at, t.size)
	}
	return fmt.Errorf("write %s: %w", t.part, err)
}

// Commit checks the bytes and makes the part file the file. The error is *Damaged when they are wrong; the part file is kept then.
func (t *Target) Commit() error {
	if t.at != t.size {
		return fmt.Errorf("%s has %d of %d bytes", t.part, t.at, t.size)
	}
	if err := t.digest.Check(t.hash); err != nil {
		return err
	}
	err := t.file.Truncate(t.size) // the last block may be a hole
	if err == nil {
		err = t.file.Sync()
	}
	if err != nil {
		return t.explain(err)
	}
	if err := t.file.Close(); err != nil {
		return t.explain(err)
	}
	if err := os.Rename(t.part, t.path); err != nil {
		return fmt.Errorf("the image is whole in %s but cannot be renamed: %w", t.part, err)
	}
	return nil
}

// Close keeps the part file for later.
func (t *Target) Close() error { return t.file.Close() }

// Discard removes the part file.
func (t *Target) Discard() error {
	t.file.Close()
	return os.Remove(t.part)
}
