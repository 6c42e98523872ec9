package s3engine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
	"golang.org/x/sys/unix"
)

// PutObject stores a body under a key, hashed on the way. It serves PUT and the POST form.
func (v *vault) PutObject(ctx context.Context, po s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	out, err := v.putObject(ctx, po)
	return out, v.answer("PutObject", deref(po.Key), err)
}

func (v *vault) putObject(ctx context.Context, po s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	var none s3response.PutObjectOutput
	bucket, key := strings.Clone(deref(po.Bucket)), strings.Clone(deref(po.Key))
	if err := checkKey(key); err != nil {
		return none, err
	}
	if strings.HasSuffix(key, "/") {
		return v.Posix.PutObject(ctx, po) // an empty directory; it has no bytes
	}
	if po.ObjectLockMode != "" || po.ObjectLockLegalHoldStatus != "" {
		return none, s3err.GetAPIError(s3err.ErrMissingObjectLockConfigurationNoSpaces)
	}
	if err := v.checkBucket(bucket); err != nil {
		return none, err
	}
	tags, err := backend.ParseObjectTags(deref(po.Tagging))
	if err != nil {
		return none, err
	}
	// Advice, to spare a client the sending of what will be refused; publish asks again under the lock.
	if err := v.publishable(bucket, key, po.IfMatch, po.IfNoneMatch); err != nil {
		return none, err
	}

	event, want := "ObjectCreated:Put", int64(-1)
	if _, form := po.Body.(utils.MpFileReader); form {
		event = "ObjectCreated:Post" // its length is a guess; the closing boundary marks the end
	} else if po.ContentLength != nil {
		want = *po.ContentLength
	}
	f, err := v.stage()
	if err != nil {
		return none, err
	}
	defer f.discard()
	if err := v.reserve(f.File, 0, want); err != nil {
		v.drain(ctx, po.Body) // so that the client reads our answer (G14)
		return none, err
	}
	asked := claimOf(sumsOfPut(po))
	if asked.algo == "" {
		asked.algo = po.ChecksumAlgorithm
	}
	body, err := check(po.Body, asked)
	if err != nil {
		return none, err
	}
	d := newDigester()
	size, crc, err := v.receive(ctx, body, want, d, f.writeAt)
	d.close()
	if err != nil {
		return none, err
	}
	algo, value, err := body.verify(crc)
	if err != nil {
		return none, err
	}
	sums := s3response.Checksum{Algorithm: algo, Type: types.ChecksumTypeFullObject}
	*sum(&sums, algo) = &value

	md5sum, sha512sum := d.sums()
	etag := strconv.Quote(hex.EncodeToString(md5sum))
	err = v.describe(f.File, properties{
		ContentType:             deref(po.ContentType),
		ContentEncoding:         deref(po.ContentEncoding),
		ContentLanguage:         deref(po.ContentLanguage),
		ContentDisposition:      deref(po.ContentDisposition),
		CacheControl:            deref(po.CacheControl),
		Expires:                 deref(po.Expires),
		WebsiteRedirectLocation: deref(po.WebsiteRedirectLocation),
		Metadata:                po.Metadata,
		Tags:                    tags,
	}, etag, sums)
	if err != nil {
		return none, err
	}
	if err := v.storeDigests(f.File, digests{ETag: etag, Size: size, MD5: md5sum, SHA512: sha512sum}); err != nil {
		return none, err
	}
	if err := v.flush(f.File); err != nil {
		return none, err
	}
	if err := v.publish(bucket, key, po.IfMatch, po.IfNoneMatch, f.link); err != nil {
		return none, err
	}
	v.created(Object{Bucket: bucket, Key: key, ETag: strings.Trim(etag, `"`), EventName: event, Size: size, At: v.now()})
	return s3response.PutObjectOutput{
		ETag: etag, Size: &size, ChecksumType: sums.Type,
		ChecksumCRC32: sums.CRC32, ChecksumCRC32C: sums.CRC32C, ChecksumSHA1: sums.SHA1, ChecksumSHA256: sums.SHA256,
		ChecksumCRC64NVME: sums.CRC64NVME, ChecksumSHA512: sums.SHA512, ChecksumMD5: sums.MD5,
		ChecksumXXHASH64: sums.XXHASH64, ChecksumXXHASH3: sums.XXHASH3, ChecksumXXHASH128: sums.XXHASH128,
	}, nil
}

// staged is a file that has no name yet, or none that anybody sees.
type staged struct {
	*os.File
	dir  string
	name string // empty for a file that vanishes when it is closed
}

// stage opens a new file. Where the file system can, it has no name, so that nothing is left of it after a crash.
func (v *vault) stage() (*staged, error) {
	fd, err := unix.Open(v.staging, unix.O_RDWR|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return &staged{File: os.NewFile(uintptr(fd), "unnamed"), dir: v.staging}, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return nil, fmt.Errorf("open an unnamed file in %s: %w", v.staging, err)
	}
	f, err := os.CreateTemp(v.staging, "put-*") // 0600; swept at start
	if err != nil {
		return nil, fmt.Errorf("open a temporary file: %w", err)
	}
	return &staged{File: f, dir: v.staging, name: f.Name()}, nil
}

func (s *staged) writeAt(p []byte, off int64) error {
	_, err := s.WriteAt(p, off)
	return err
}

// link gives the file the name dst, in place of what has it now.
func (s *staged) link(dst string) error {
	if s.name != "" {
		if err := os.Rename(s.name, dst); err != nil {
			return err
		}
		s.name = ""
		return nil
	}
	self := fmt.Sprintf("/proc/self/fd/%d", s.Fd())
	err := unix.Linkat(unix.AT_FDCWD, self, unix.AT_FDCWD, dst, unix.AT_SYMLINK_FOLLOW)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	// A link does not replace; a rename does.
	tmp := filepath.Join(s.dir, "put-"+newID())
	if err := unix.Linkat(unix.AT_FDCWD, self, unix.AT_FDCWD, tmp, unix.AT_SYMLINK_FOLLOW); err != nil {
		return err
	}
	if err := os.Rename(tmp, dst); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return nil
}

func (s *staged) discard() {
	_ = s.Close()
	if s.name != "" {
		_ = os.Remove(s.name)
	}
}

// reserve asks the file system for room, so that a full disk is known before the bytes are sent. It makes the file
// as long as that: what lies beyond the end of a file cannot be given back on ext4.
func (v *vault) reserve(f *os.File, off, size int64) error {
	if size <= 0 {
		return nil
	}
	err := unix.Fallocate(int(f.Fd()), 0, off, size)
	if full(err) {
		return err
	}
	return nil // not every file system can; writing will tell
}

// publishable says whether key could be written now.
func (v *vault) publishable(bucket, key string, ifMatch, ifNoneMatch *string) error {
	if fi, err := os.Stat(v.path(bucket, key)); err == nil && fi.IsDir() {
		return s3err.GetAPIError(s3err.ErrExistingObjectIsDirectory)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nameError(err)
	}
	return v.preconditions(bucket, key, ifMatch, ifNoneMatch)
}

// publish makes a finished file visible by calling link with the name of the object, unless a condition does not
// hold. Writers of one key take turns, so of several with If-None-Match exactly one succeeds.
func (v *vault) publish(bucket, key string, ifMatch, ifNoneMatch *string, link func(dst string) error) error {
	defer v.keys.lock(bucket, key)()
	if err := v.publishable(bucket, key, ifMatch, ifNoneMatch); err != nil {
		return err
	}
	v.forget(bucket, key) // a hash job on what is there now
	dst := v.path(bucket, key)
	for range 100 {
		if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return nameError(err)
		}
		err := link(dst)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a deletion of a neighbour took the empty directory away between the two calls
		}
		if err != nil {
			return nameError(err)
		}
		return v.flushName(dst)
	}
	return fmt.Errorf("the directory of %s vanishes as often as it is made", key)
}

// nameError explains why a file cannot have a name.
func nameError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return s3err.GetAPIError(s3err.ErrObjectParentIsFile)
	case errors.Is(err, syscall.EISDIR):
		return s3err.GetAPIError(s3err.ErrExistingObjectIsDirectory)
	default:
		return err
	}
}

// flush waits until f is on the disk, when the configuration asks for that.
func (v *vault) flush(f *os.File) error {
	if !v.cfg.Sync {
		return nil
	}
	return f.Sync()
}

// flushName waits until the name of a file is on the disk, and those of the directories above it.
func (v *vault) flushName(name string) error {
	if !v.cfg.Sync {
		return nil
	}
	for dir := filepath.Dir(name); len(dir) >= len(v.cfg.Dir); dir = filepath.Dir(dir) {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		err = d.Sync()
		_ = d.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// cloneMetadata copies metadata out of a request (G5).
func cloneMetadata(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, val := range maps.All(m) {
		out[strings.Clone(k)] = strings.Clone(val)
	}
	return out
}
