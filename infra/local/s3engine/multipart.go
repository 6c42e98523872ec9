package s3engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// CreateMultipartUpload opens an upload. With the metadata bullion-part-size its parts are written where
// they belong in the object.
func (v *vault) CreateMultipartUpload(_ context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	var none s3response.InitiateMultipartUploadResult
	bucket, key := strings.Clone(deref(in.Bucket)), strings.Clone(deref(in.Key))
	if err := checkKey(key); err != nil {
		return none, err
	}
	if strings.HasSuffix(key, "/") {
		return none, s3err.GetAPIError(s3err.ErrDirectoryObjectContainsData)
	}
	if in.ObjectLockMode != "" || in.ObjectLockLegalHoldStatus != "" {
		return none, s3err.GetAPIError(s3err.ErrMissingObjectLockConfigurationNoSpaces)
	}
	if err := v.checkBucket(bucket); err != nil {
		return none, v.answer("CreateMultipartUpload", key, err)
	}
	tags, err := backend.ParseObjectTags(deref(in.Tagging))
	if err != nil {
		return none, err
	}
	s := spec{
		ID: newID(), Bucket: bucket, Key: key, Initiated: time.Now().UTC().Truncate(time.Millisecond), Boot: bootID(),
		Algorithm: types.ChecksumAlgorithm(strings.Clone(string(in.ChecksumAlgorithm))), ChecksumType: types.ChecksumType(strings.Clone(string(in.ChecksumType))),
		properties: properties{
			ContentType:             strings.Clone(deref(in.ContentType)),
			ContentEncoding:         strings.Clone(deref(in.ContentEncoding)),
			ContentLanguage:         strings.Clone(deref(in.ContentLanguage)),
			ContentDisposition:      strings.Clone(deref(in.ContentDisposition)),
			CacheControl:            strings.Clone(deref(in.CacheControl)),
			Expires:                 strings.Clone(deref(in.Expires)),
			WebsiteRedirectLocation: strings.Clone(deref(in.WebsiteRedirectLocation)),
			Metadata:                cloneMetadata(in.Metadata),
			Tags:                    tags,
		},
	}
	if text, ok := s.Metadata[partSizeKey]; ok {
		s.PartSize, err = strconv.ParseInt(text, 10, 64)
		if err != nil || s.PartSize < backend.MinPartSize || s.PartSize > 5<<30 {
			return none, s3err.APIError{
				Code:           "InvalidArgument",
				Description:    "x-amz-meta-" + partSizeKey + " must be the size of every part but the last, from 5242880 to 5368709120 bytes.",
				HTTPStatusCode: 400,
			}
		}
	}
	if err := v.create(s); err != nil {
		return none, v.answer("CreateMultipartUpload", key, err)
	}
	return s3response.InitiateMultipartUploadResult{Bucket: bucket, Key: key, UploadId: s.ID}, nil
}

// UploadPart stores one part. One that fails leaves nothing, and leaves an earlier part of this number alone.
func (v *vault) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	key := deref(in.Key)
	u, err := v.find(deref(in.Bucket), key, deref(in.UploadId))
	if err != nil {
		return nil, v.answer("UploadPart", key, err)
	}
	want := int64(-1)
	if in.ContentLength != nil {
		want = *in.ContentLength
	}
	p, algo, err := u.take(ctx, *in.PartNumber, in.Body, want, claimOf(sumsOfPart(in)))
	if err != nil {
		return nil, v.answer("UploadPart", key, err)
	}
	etag := p.etag()
	var sums s3response.Checksum
	if algo != "" {
		*sum(&sums, algo) = &p.Sum
	}
	return &s3.UploadPartOutput{
		ETag:          &etag,
		ChecksumCRC32: sums.CRC32, ChecksumCRC32C: sums.CRC32C, ChecksumSHA1: sums.SHA1, ChecksumSHA256: sums.SHA256,
		ChecksumCRC64NVME: sums.CRC64NVME, ChecksumSHA512: sums.SHA512, ChecksumMD5: sums.MD5,
		ChecksumXXHASH64: sums.XXHASH64, ChecksumXXHASH3: sums.XXHASH3, ChecksumXXHASH128: sums.XXHASH128,
	}, nil
}

// UploadPartCopy stores a part that is a range of an object.
func (v *vault) UploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	key := deref(in.Key)
	u, err := v.find(deref(in.Bucket), key, deref(in.UploadId))
	if err != nil {
		return s3response.CopyPartResult{}, v.answer("UploadPartCopy", key, err)
	}
	bucket, object, version, err := backend.ParseCopySource(deref(in.CopySource))
	if err != nil {
		return s3response.CopyPartResult{}, err
	}
	get := &s3.GetObjectInput{
		Bucket: &bucket, Key: &object, Range: in.CopySourceRange,
		IfMatch: in.CopySourceIfMatch, IfNoneMatch: in.CopySourceIfNoneMatch,
		IfModifiedSince: in.CopySourceIfModifiedSince, IfUnmodifiedSince: in.CopySourceIfUnmodifiedSince,
	}
	if version != "" {
		get.VersionId = &version
	}
	src, err := v.Posix.GetObject(ctx, get)
	if err != nil {
		return s3response.CopyPartResult{}, v.answer("UploadPartCopy", key, err)
	}
	defer src.Body.Close()
	p, algo, err := u.take(context.WithoutCancel(v.life), *in.PartNumber, src.Body, *src.ContentLength, claimed{algo: u.spec.Algorithm})
	if err != nil {
		return s3response.CopyPartResult{}, v.answer("UploadPartCopy", key, err)
	}
	etag := p.etag()
	var sums s3response.Checksum
	if algo != "" {
		*sum(&sums, algo) = &p.Sum
	}
	return s3response.CopyPartResult{
		LastModified: p.At, ETag: &etag,
		ChecksumCRC32: sums.CRC32, ChecksumCRC32C: sums.CRC32C, ChecksumSHA1: sums.SHA1, ChecksumSHA256: sums.SHA256,
		ChecksumCRC64NVME: sums.CRC64NVME, ChecksumSHA512: sums.SHA512, ChecksumMD5: sums.MD5,
		ChecksumXXHASH64: sums.XXHASH64, ChecksumXXHASH3: sums.XXHASH3, ChecksumXXHASH128: sums.XXHASH128,
	}, nil
}

// take receives the bytes of part n and records it. The checksum that the answer shows is that of algo; it is empty
// when neither the request nor the upload names one.
func (u *upload) take(ctx context.Context, n int32, raw io.Reader, want int64, asked claimed) (part, types.ChecksumAlgorithm, error) {
	named := asked.algo
	if t := trailer(raw); t != nil {
		named = types.ChecksumAlgorithm(strings.ToUpper(t.Algorithm()))
	}
	switch {
	case u.spec.Algorithm == "":
	case named == "" && u.spec.ChecksumType == types.ChecksumTypeComposite:
		return part{}, "", s3err.GetChecksumTypeMismatchErr(u.spec.Algorithm, "null")
	case named == "":
		asked.algo, named = u.spec.Algorithm, u.spec.Algorithm
	case named != u.spec.Algorithm:
		return part{}, "", s3err.GetChecksumTypeMismatchErr(u.spec.Algorithm, named)
	}
	body, err := check(raw, asked)
	if err != nil {
		return part{}, "", err
	}

	slot, err := u.slot(n, want)
	if err != nil {
		u.v.drain(ctx, raw)
		return part{}, "", err
	}
	defer slot.close()
	size, crc, err := u.v.receive(ctx, body, want, nil, slot.write)
	if err != nil {
		return part{}, "", err
	}
	algo, value, err := body.verify(crc)
	if err != nil {
		return part{}, "", err
	}
	if err := u.v.flush(slot.file); err != nil {
		return part{}, "", err
	}
	p := part{Number: n, Size: size, CRC: crc, Side: slot.side, At: time.Now().UTC().Truncate(time.Millisecond)}
	if named != "" {
		p.Sum = value
	}
	kept, err := u.record(p)
	if err != nil {
		return part{}, "", err
	}
	slot.kept = kept.Side == slot.side
	p.At = kept.At
	if named == "" {
		algo = ""
	}
	return p, algo, nil
}

// slot is where one part is being written.
type slot struct {
	u    *upload
	n    int32
	file *os.File
	off  int64
	room int64  // bytes reserved
	side string // empty: in data
	kept bool   // the part was recorded here
}

// slot chooses where part n goes: into data where it belongs, if it fits, nobody else is writing there and no part
// that has arrived is there; else into a side file.
func (u *upload) slot(n int32, size int64) (*slot, error) {
	s := &slot{u: u, n: n, room: size}
	u.mu.Lock()
	old, arrived := u.parts[n]
	fits := u.spec.PartSize > 0 && size >= 0 && size <= u.spec.PartSize && !u.writing[n] && (!arrived || old.Side != "")
	if fits {
		u.writing[n] = true
	}
	u.mu.Unlock()

	var err error
	if fits {
		s.off = int64(n-1) * u.spec.PartSize
		s.file, err = os.OpenFile(u.data(), os.O_RDWR, 0o600)
	} else {
		s.file, err = os.CreateTemp(u.dir, fmt.Sprintf("side-%05d-*", n))
		if err == nil {
			s.side = filepath.Base(s.file.Name())
		}
	}
	if err == nil {
		err = u.v.reserve(s.file, s.off, size)
	}
	if err != nil {
		s.close()
		if errors.Is(err, os.ErrNotExist) {
			return nil, s3err.GetNoSuchUploadErr(u.spec.ID) // completed or aborted a moment ago
		}
		return nil, err
	}
	return s, nil
}

func (s *slot) write(p []byte, off int64) error {
	s.u.gate.RLock()
	defer s.u.gate.RUnlock()
	if s.u.closed {
		return s3err.GetNoSuchUploadErr(s.u.spec.ID)
	}
	_, err := s.file.WriteAt(p, s.off+off)
	return err
}

// close gives up the slot and, when the part was not recorded here, what was written.
func (s *slot) close() {
	if s.file != nil {
		if !s.kept {
			s.clear()
		}
		_ = s.file.Close()
	}
	if s.side == "" {
		s.u.mu.Lock()
		delete(s.u.writing, s.n)
		s.u.mu.Unlock()
	}
}

func (s *slot) clear() {
	s.u.gate.RLock()
	defer s.u.gate.RUnlock()
	switch {
	case s.side != "":
		_ = os.Remove(s.file.Name())
	case !s.u.closed: // data may be an object by now
		s.u.punch(s.file, s.off, s.room)
	}
}

// record makes p exist, in place of an earlier part of its number, and returns what exists then: the earlier
// part if it holds the same bytes.
func (u *upload) record(p part) (part, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isClosed() {
		return part{}, s3err.GetNoSuchUploadErr(u.spec.ID)
	}
	old, ok := u.parts[p.Number]
	if ok && old.etag() == p.etag() && old.Sum == p.Sum && (old.Side == "" || p.Side != "") {
		return old, nil
	}
	if err := u.log(p); err != nil {
		return part{}, err
	}
	u.parts[p.Number] = p
	if ok && old.Side != "" {
		_ = os.Remove(filepath.Join(u.dir, old.Side))
	}
	u.signal()
	u.startChaser()
	return p, nil
}

// AbortMultipartUpload ends an upload and frees its parts. A part that is being sent fails.
func (v *vault) AbortMultipartUpload(_ context.Context, in *s3.AbortMultipartUploadInput) error {
	key := deref(in.Key)
	u, err := v.find(deref(in.Bucket), key, deref(in.UploadId))
	if err != nil {
		return v.answer("AbortMultipartUpload", key, err)
	}
	if t := in.IfMatchInitiatedTime; t != nil && t.Unix() != u.spec.Initiated.Unix() {
		return s3err.GetPreconditionFailedErr(s3err.ConditionIfMatchInitiatedTime)
	}
	return v.answer("AbortMultipartUpload", key, u.abort())
}

func (u *upload) abort() error {
	u.completing.Lock()
	defer u.completing.Unlock()
	if u.isClosed() {
		return s3err.GetNoSuchUploadErr(u.spec.ID)
	}
	u.shut()
	u.cancel()
	return u.remove()
}

// ListParts lists the parts that arrived whole, in order, from a marker on.
func (v *vault) ListParts(_ context.Context, in *s3.ListPartsInput) (s3response.ListPartsResult, error) {
	key := deref(in.Key)
	u, err := v.find(deref(in.Bucket), key, deref(in.UploadId))
	if err != nil {
		return s3response.ListPartsResult{}, v.answer("ListParts", key, err)
	}
	marker := 0
	if m := deref(in.PartNumberMarker); m != "" {
		if marker, err = strconv.Atoi(m); err != nil {
			return s3response.ListPartsResult{}, s3err.GetInvalidArgMaxLimiter("part-number-marker", strings.Clone(m))
		}
	}
	out := s3response.ListPartsResult{
		Bucket: u.spec.Bucket, Key: u.spec.Key, UploadID: u.spec.ID, StorageClass: types.StorageClassStandard,
		PartNumberMarker: marker, NextPartNumberMarker: marker, MaxParts: 1000, Parts: []s3response.Part{},
		ChecksumAlgorithm: u.spec.Algorithm, ChecksumType: u.spec.ChecksumType,
	}
	if out.ChecksumAlgorithm == "" {
		out.ChecksumAlgorithm, out.ChecksumType = "null", "null" // as versitygw says it
	}
	if in.MaxParts != nil {
		out.MaxParts = int(*in.MaxParts)
	}
	var parts []part
	u.mu.Lock()
	for _, p := range u.parts {
		if int(p.Number) > marker {
			parts = append(parts, p)
		}
	}
	u.mu.Unlock()
	slices.SortFunc(parts, func(a, b part) int { return int(a.Number - b.Number) })
	if len(parts) > out.MaxParts {
		parts, out.IsTruncated = parts[:out.MaxParts], true
	}
	for _, p := range parts {
		var sums s3response.Checksum
		if u.spec.Algorithm != "" {
			*sum(&sums, u.spec.Algorithm) = &p.Sum
		}
		out.Parts = append(out.Parts, s3response.Part{
			PartNumber: int(p.Number), LastModified: p.At, ETag: p.etag(), Size: p.Size,
			ChecksumCRC32: sums.CRC32, ChecksumCRC32C: sums.CRC32C, ChecksumSHA1: sums.SHA1, ChecksumSHA256: sums.SHA256,
			ChecksumCRC64NVME: sums.CRC64NVME, ChecksumSHA512: sums.SHA512, ChecksumMD5: sums.MD5,
			ChecksumXXHASH64: sums.XXHASH64, ChecksumXXHASH3: sums.XXHASH3, ChecksumXXHASH128: sums.XXHASH128,
		})
		out.NextPartNumberMarker = int(p.Number)
	}
	return out, nil
}

// ListMultipartUploads lists the open uploads of a bucket, by key and then by age.
func (v *vault) ListMultipartUploads(_ context.Context, in *s3.ListMultipartUploadsInput) (s3response.ListMultipartUploadsResult, error) {
	bucket := strings.Clone(deref(in.Bucket))
	if err := v.checkBucket(bucket); err != nil {
		return s3response.ListMultipartUploadsResult{}, v.answer("ListMultipartUploads", bucket, err)
	}
	out := s3response.ListMultipartUploadsResult{
		Bucket: bucket, Prefix: deref(in.Prefix), Delimiter: deref(in.Delimiter),
		KeyMarker: deref(in.KeyMarker), UploadIDMarker: deref(in.UploadIdMarker), MaxUploads: 1000,
	}
	if in.MaxUploads != nil {
		out.MaxUploads = int(*in.MaxUploads)
	}
	var open []s3response.Upload
	v.uploadsMu.Lock()
	for _, u := range v.uploads {
		s := u.spec
		// A key marker with an upload marker continues inside the key; the lister skips what was shown.
		past := out.KeyMarker == "" || s.Key > out.KeyMarker || (s.Key == out.KeyMarker && out.UploadIDMarker != "")
		if s.Bucket != bucket || !strings.HasPrefix(s.Key, out.Prefix) || !past {
			continue
		}
		open = append(open, s3response.Upload{
			Key: s.Key, UploadID: s.ID, StorageClass: types.StorageClassStandard, Initiated: s.Initiated,
			ChecksumAlgorithm: s.Algorithm, ChecksumType: s.ChecksumType,
		})
	}
	v.uploadsMu.Unlock()
	slices.SortFunc(open, func(a, b s3response.Upload) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		if c := a.Initiated.Compare(b.Initiated); c != 0 {
			return c
		}
		return strings.Compare(a.UploadID, b.UploadID)
	})
	page, err := backend.ListMultipartUploads(open, out.Prefix, out.Delimiter, out.KeyMarker, out.UploadIDMarker, out.MaxUploads)
	if err != nil {
		return s3response.ListMultipartUploadsResult{}, v.answer("ListMultipartUploads", bucket, err)
	}
	out.NextKeyMarker, out.NextUploadIDMarker = page.NextKeyMarker, page.NextUploadIDMarker
	out.IsTruncated, out.Uploads, out.CommonPrefixes = page.IsTruncated, page.Uploads, page.CommonPrefixes
	return out, nil
}
