package s3engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// CompleteMultipartUpload makes an object of an upload: it compares the list of parts with what arrived, writes
// attributes, and renames. Bytes are copied only when parts are not where they belong. Calling it again after it
// succeeded succeeds again.
func (v *vault) CompleteMultipartUpload(_ context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	out, err := v.complete(in)
	return out, "", v.answer("CompleteMultipartUpload", deref(in.Key), err)
}

func (v *vault) complete(in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, error) {
	var none s3response.CompleteMultipartUploadResult
	bucket, key, id := strings.Clone(deref(in.Bucket)), strings.Clone(deref(in.Key)), strings.Clone(deref(in.UploadId))
	if in.MultipartUpload == nil {
		return none, s3err.GetAPIError(s3err.ErrMalformedXML)
	}
	u, err := v.find(bucket, key, id)
	if err != nil {
		if again, ok := v.completed(bucket, key, id); ok {
			return again, nil
		}
		return none, err
	}
	u.completing.Lock()
	defer u.completing.Unlock()
	if u.isClosed() { // somebody else's completion or abortion came first
		if again, ok := v.completed(bucket, key, id); ok {
			return again, nil
		}
		return none, s3err.GetNoSuchUploadErr(id)
	}
	if err := v.publishable(bucket, key, in.IfMatch, in.IfNoneMatch); err != nil {
		return none, err
	}
	l, err := u.list(in)
	if err != nil {
		return none, err
	}
	return u.become(in, l)
}

// completed answers for an upload that is an object already.
func (v *vault) completed(bucket, key, id string) (s3response.CompleteMultipartUploadResult, bool) {
	name := v.path(bucket, key)
	if v.attribute(name, attrUpload) != id {
		return s3response.CompleteMultipartUploadResult{}, false
	}
	fi, err := os.Stat(name)
	if err != nil {
		return s3response.CompleteMultipartUploadResult{}, false
	}
	etag := v.attribute(name, attrETag)
	v.completeEvent(bucket, key, etag, fi.Size())
	return s3response.CompleteMultipartUploadResult{Bucket: &bucket, Key: &key, ETag: &etag}, true
}

func (v *vault) completeEvent(bucket, key, etag string, size int64) {
	v.created(Object{
		Bucket: bucket, Key: key, ETag: strings.Trim(etag, `"`), Size: size,
		EventName: "ObjectCreated:CompleteMultipartUpload", At: v.now(),
	})
}

// listing is a list of parts that was found right.
type listing struct {
	parts    []part
	size     int64
	crc      uint64 // CRC-64/NVME of the whole
	etag     string // with quotes
	sums     s3response.Checksum
	inPlace  bool // the parts are 1, 2, 3 … and have the sizes of their slots
	numbered bool // the parts are 1, 2, 3 …
}

// list compares the client's list of parts with those that arrived.
func (u *upload) list(in *s3.CompleteMultipartUploadInput) (listing, error) {
	s := u.spec
	if in.ChecksumType != "" && in.ChecksumType != s.ChecksumType {
		had := s.ChecksumType
		if had == "" {
			had = "null"
		}
		return listing{}, s3err.GetChecksumTypeMismatchOnMpErr(had)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	l := listing{inPlace: s.PartSize > 0, numbered: true}
	whole, err := newWholeSum(s)
	if err != nil {
		return listing{}, err
	}
	join := crcJoiner{}
	tag := sha256.New()
	_, _ = io.WriteString(tag, s.ID)
	named := in.MultipartUpload.Parts
	for i, listed := range named {
		last := i == len(named)-1
		if listed.PartNumber == nil || listed.ETag == nil {
			return listing{}, s3err.GetAPIError(s3err.ErrMalformedXML)
		}
		n := *listed.PartNumber
		if n < 1 {
			return listing{}, s3err.GetInvalidArgumentErr(s3err.InvalidArgCompleteMpPartNumber, fmt.Sprint(n))
		}
		if i > 0 && n <= *named[i-1].PartNumber {
			return listing{}, s3err.GetAPIError(s3err.ErrInvalidPartOrder)
		}
		p, ok := u.parts[n]
		if !ok || !backend.AreEtagsSame(p.etag(), *listed.ETag) {
			return listing{}, s3err.GetInvalidPartErr(s.ID, n, strings.Clone(*listed.ETag))
		}
		if !last && p.Size < backend.MinPartSize {
			return listing{}, s3err.GetEntityTooSmallErr(p.Size, backend.MinPartSize)
		}
		if err := u.checkListed(p, listed); err != nil {
			return listing{}, err
		}
		if err := whole.add(p); err != nil {
			return listing{}, err
		}
		l.crc = join.join(l.crc, p.CRC, p.Size)
		l.size += p.Size
		l.numbered = l.numbered && int(n) == i+1
		l.inPlace = l.inPlace && l.numbered && (p.Size == s.PartSize || last && p.Size < s.PartSize)
		l.parts = append(l.parts, p)
		_, _ = tag.Write(binary.BigEndian.AppendUint32(nil, uint32(n)))
		_, _ = io.WriteString(tag, p.etag())
	}
	if in.MpuObjectSize != nil && *in.MpuObjectSize != l.size {
		return listing{}, s3err.GetIncorrectMpObjectSizeErr(l.size, *in.MpuObjectSize)
	}
	l.etag = fmt.Sprintf(`"%x-%d"`, tag.Sum(nil)[:16], len(l.parts))
	l.sums, err = whole.sums(l.crc, len(l.parts))
	if err != nil {
		return listing{}, err
	}
	if s.Algorithm != "" {
		claims := sumsOfComplete(in)
		if want := *sum(&claims, s.Algorithm); want != nil {
			value := *want
			if s.ChecksumType == types.ChecksumTypeComposite && !strings.Contains(value, "-") {
				value = fmt.Sprintf("%s-%d", value, len(l.parts))
			}
			if value != **sum(&l.sums, s.Algorithm) {
				return listing{}, s3err.GetChecksumBadDigestErr(s.Algorithm)
			}
		}
	}
	return l, nil
}

// checkListed compares the checksum that a client lists for a part with the part's.
func (u *upload) checkListed(p part, listed types.CompletedPart) error {
	sums := sumsOfListed(listed)
	count := 0
	for _, algo := range algorithms {
		value := *sum(&sums, algo)
		if value == nil {
			continue
		}
		if count++; count > 1 {
			return s3err.GetInvalidArgumentErr(s3err.InvalidArgChecksumPart, strings.Clone(*value))
		}
		if algo != u.spec.Algorithm || *value != p.Sum {
			return s3err.GetInvalidPartErr(u.spec.ID, p.Number, p.etag())
		}
	}
	if count == 0 && u.spec.ChecksumType == types.ChecksumTypeComposite {
		return s3err.APIError{
			Code: "InvalidRequest",
			Description: fmt.Sprintf("The upload was created using a %s checksum. The complete request must include the checksum for each part. It was missing for part %d in the request.",
				strings.ToLower(string(u.spec.Algorithm)), p.Number),
			HTTPStatusCode: 400,
		}
	}
	return nil
}

// wholeSum makes the checksum of an object out of those of its parts.
type wholeSum struct {
	spec      spec
	composite *utils.CompositeChecksumReader
	joined    string
}

func newWholeSum(s spec) (*wholeSum, error) {
	w := &wholeSum{spec: s}
	if s.ChecksumType == types.ChecksumTypeComposite {
		c, err := utils.NewCompositeChecksumReader(utils.HashType(strings.ToLower(string(s.Algorithm))))
		if err != nil {
			return nil, fmt.Errorf("composite checksum %s: %w", s.Algorithm, err)
		}
		w.composite = c
	}
	return w, nil
}

func (w *wholeSum) add(p part) (err error) {
	switch {
	case w.composite != nil:
		return w.composite.Process(p.Sum)
	case w.spec.Algorithm == "" || w.spec.Algorithm == crc64NVME:
		return nil // known from the parts' own CRCs
	case w.joined == "":
		w.joined = p.Sum
		return nil
	default:
		w.joined, err = utils.AddCRCChecksum(w.spec.Algorithm, w.joined, p.Sum, p.Size)
		return err
	}
}

func (w *wholeSum) sums(crc uint64, parts int) (s3response.Checksum, error) {
	out := s3response.Checksum{Algorithm: w.spec.Algorithm, Type: w.spec.ChecksumType}
	var value string
	switch {
	case w.composite != nil:
		value = fmt.Sprintf("%s-%d", w.composite.Sum(), parts)
	case w.spec.Algorithm == "" || w.spec.Algorithm == crc64NVME:
		out.Algorithm, out.Type = crc64NVME, types.ChecksumTypeFullObject
		value = crcString(crc)
	default:
		value = w.joined
	}
	*sum(&out, out.Algorithm) = &value
	return out, nil
}

// become turns the upload into an object. Until the rename, everything can be done again.
func (u *upload) become(in *s3.CompleteMultipartUploadInput, l listing) (none s3response.CompleteMultipartUploadResult, err error) {
	v, s := u.v, u.spec
	u.shut()
	defer func() {
		if err != nil {
			u.reopen()
		}
	}()
	f, err := u.assemble(l)
	if err != nil {
		return none, err
	}
	owned := true
	defer func() {
		if owned {
			_ = f.Close()
			if f.Name() != u.data() {
				_ = os.Remove(f.Name())
			}
		}
	}()
	if err := v.describe(f, s.properties, l.etag, l.sums); err != nil {
		return none, err
	}
	for name, value := range map[string]string{attrUpload: s.ID, attrCRC: crcString(l.crc)} {
		if err := v.attrs.StoreAttribute(f, "", "", name, []byte(value)); err != nil {
			return none, err
		}
	}
	if err := v.describeParts(f, s.ID, l.parts); err != nil {
		return none, err
	}
	if err := v.flush(f); err != nil {
		return none, err
	}
	j := v.newJob(s.Bucket, s.Key, l.etag)
	err = v.publish(s.Bucket, s.Key, in.IfMatch, in.IfNoneMatch, func(dst string) error {
		if fi, err := f.Stat(); err != nil || fi.Size() > l.size {
			// Parts that arrived but were not listed. Cut here: from now on only the rename can fail.
			if err := errors.Join(err, f.Truncate(l.size)); err != nil {
				return err
			}
		}
		if err := os.Rename(f.Name(), dst); err != nil {
			return err
		}
		v.register(j)
		return nil
	})
	if err != nil {
		j.cancel()
		return none, err
	}
	owned = false

	fin := &final{job: j, file: f, size: l.size}
	if l.numbered {
		for _, p := range l.parts {
			fin.made = append(fin.made, p.etag())
		}
	}
	u.mu.Lock()
	u.final = fin
	u.signal()
	u.startChaser()
	u.mu.Unlock()
	if err := u.remove(); err != nil {
		v.cfg.Log.Warn("what is left of a completed upload cannot be deleted now; it will be at the next start", "dir", u.dir, "error", err)
	}
	v.completeEvent(s.Bucket, s.Key, l.etag, l.size)
	return s3response.CompleteMultipartUploadResult{
		Bucket: &s.Bucket, Key: &s.Key, ETag: &l.etag, ChecksumType: &l.sums.Type,
		ChecksumCRC32: l.sums.CRC32, ChecksumCRC32C: l.sums.CRC32C, ChecksumSHA1: l.sums.SHA1, ChecksumSHA256: l.sums.SHA256,
		ChecksumCRC64NVME: l.sums.CRC64NVME, ChecksumSHA512: l.sums.SHA512, ChecksumMD5: l.sums.MD5,
		ChecksumXXHASH64: l.sums.XXHASH64, ChecksumXXHASH3: l.sums.XXHASH3, ChecksumXXHASH128: l.sums.XXHASH128,
	}, nil
}

// describeParts keeps where each part ends, for reads by part number, if that fits (G1).
func (v *vault) describeParts(f *os.File, id string, parts []part) error {
	ends := make([]int64, len(parts))
	var end int64
	for i, p := range parts {
		end += p.Size
		ends[i] = end
	}
	b, err := backend.MarshalMpUploadMetadata(backend.MpUploadMetadata{UploadID: id, Parts: ends}, false)
	if err != nil {
		return err
	}
	return v.attrs.StoreAttribute(f, "", "", attrParts, b)
}

// assemble returns a file that begins with the listed parts: data, when they are in their slots or can be moved
// there, else a new one.
func (u *upload) assemble(l listing) (*os.File, error) {
	var f *os.File
	var err error
	if l.inPlace {
		f, err = os.OpenFile(u.data(), os.O_RDWR, 0o600)
	} else {
		f, err = os.CreateTemp(u.dir, "side-whole-*")
	}
	if err != nil {
		return nil, err
	}
	var off int64
	for _, p := range l.parts {
		if !l.inPlace || p.Side != "" {
			if err := u.copyPart(f, off, p); err != nil {
				_ = f.Close()
				if !l.inPlace {
					_ = os.Remove(f.Name())
				}
				return nil, fmt.Errorf("part %d: %w", p.Number, err)
			}
		}
		off += p.Size
	}
	return f, nil
}

func (u *upload) copyPart(dst *os.File, off int64, p part) error {
	name, from := u.place(p)
	src, err := os.Open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	if _, err := src.Seek(from, io.SeekStart); err != nil {
		return err
	}
	if _, err := dst.Seek(off, io.SeekStart); err != nil {
		return err
	}
	n, err := io.Copy(dst, io.LimitReader(src, p.Size)) // copy_file_range, or a reflink where there are such
	if err == nil && n != p.Size {
		err = io.ErrUnexpectedEOF
	}
	return err
}
