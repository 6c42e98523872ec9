package s3engine

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

const crc64NVME = types.ChecksumAlgorithmCrc64nvme

// algorithms are the checksums of S3, in the order in which a request is searched for them.
var algorithms = []types.ChecksumAlgorithm{
	types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmSha1,
	types.ChecksumAlgorithmSha256, crc64NVME, types.ChecksumAlgorithmSha512, types.ChecksumAlgorithmMd5,
	types.ChecksumAlgorithmXxhash64, types.ChecksumAlgorithmXxhash3, types.ChecksumAlgorithmXxhash128,
}

// sum is the place of one algorithm's value in c.
func sum(c *s3response.Checksum, algo types.ChecksumAlgorithm) **string {
	switch algo {
	case types.ChecksumAlgorithmCrc32:
		return &c.CRC32
	case types.ChecksumAlgorithmCrc32c:
		return &c.CRC32C
	case types.ChecksumAlgorithmSha1:
		return &c.SHA1
	case types.ChecksumAlgorithmSha256:
		return &c.SHA256
	case crc64NVME:
		return &c.CRC64NVME
	case types.ChecksumAlgorithmSha512:
		return &c.SHA512
	case types.ChecksumAlgorithmMd5:
		return &c.MD5
	case types.ChecksumAlgorithmXxhash64:
		return &c.XXHASH64
	case types.ChecksumAlgorithmXxhash3:
		return &c.XXHASH3
	case types.ChecksumAlgorithmXxhash128:
		return &c.XXHASH128
	default:
		return new(*string)
	}
}

// claim is a checksum that a client says its body has. Algo is empty when it says nothing; Value is empty when
// it only named an algorithm.
type claimed struct {
	algo  types.ChecksumAlgorithm
	value string
}

// claimOf finds the first checksum in c.
func claimOf(c s3response.Checksum) claimed {
	for _, algo := range algorithms {
		if s := *sum(&c, algo); s != nil {
			return claimed{algo, strings.Clone(*s)}
		}
	}
	return claimed{}
}

// trailer returns the reader that checks a checksum which follows the body (aws-chunked), or nil.
func trailer(body io.Reader) middlewares.ChecksumReader {
	if r, ok := body.(middlewares.ChecksumReader); ok && r.Algorithm() != "" {
		return r
	}
	return nil
}

// checked reads a body and computes the checksum that was asked for; CRC-64/NVME, which receive computes
// anyway, costs nothing more.
type checked struct {
	io.Reader
	want    claimed
	hash    *utils.HashReader          // checks at the end of the body
	trailer middlewares.ChecksumReader // checks at the end of the body
}

// check wraps body. The error of a wrong checksum comes out of Read at the end, or out of verify.
func check(body io.Reader, want claimed) (*checked, error) {
	c := &checked{Reader: body, want: want}
	if t := trailer(body); t != nil {
		c.trailer = t
		c.want = claimed{algo: types.ChecksumAlgorithm(strings.ToUpper(t.Algorithm()))}
		return c, nil
	}
	if want.algo == "" || want.algo == crc64NVME {
		return c, nil
	}
	h, err := utils.NewHashReader(body, want.value, utils.HashType(strings.ToLower(string(want.algo))))
	if err != nil {
		return nil, fmt.Errorf("checksum %s: %w", want.algo, err)
	}
	c.Reader, c.hash = h, h
	return c, nil
}

// verify returns the algorithm and value that the body turned out to have, CRC-64/NVME when none was asked for.
func (c *checked) verify(crc uint64) (types.ChecksumAlgorithm, string, error) {
	switch {
	case c.trailer != nil:
		return c.want.algo, strings.Clone(c.trailer.Checksum()), nil
	case c.hash != nil:
		return c.want.algo, c.hash.Sum(), nil
	}
	got := crcString(crc)
	if c.want.value != "" && c.want.value != got {
		return "", "", s3err.GetChecksumBadDigestErr(crc64NVME)
	}
	return crc64NVME, got, nil
}

// crcString is how S3 writes a CRC-64: base64 of its eight bytes, the most significant first.
func crcString(crc uint64) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc))
}

// crcJoiner joins the CRC-64s of neighbours. Shifting one by the length of the next is a multiplication with a
// 64 × 64 matrix over GF(2) that depends only on the length, so equal parts share it.
type crcJoiner map[int64]*[64]uint64

// join returns the CRC-64/NVME of a followed by b, from theirs and the length of b in bytes.
func (j crcJoiner) join(a, b uint64, lenB int64) uint64 {
	if lenB == 0 {
		return a
	}
	m, ok := j[lenB]
	if !ok {
		m = shift(lenB)
		j[lenB] = m
	}
	return times(m, a) ^ b
}

// shift is the matrix that appends n zero bytes.
func shift(n int64) *[64]uint64 {
	var power, square [64]uint64 // one zero bit, then two, four …
	power[0] = 0x9a6c_9329_ac4b_c9b5
	for i := 1; i < 64; i++ {
		power[i] = 1 << (i - 1)
	}
	var out [64]uint64
	for i := range out {
		out[i] = 1 << i
	}
	for bits := uint64(n) * 8; bits > 0; bits >>= 1 {
		if bits&1 != 0 {
			for i := range out {
				out[i] = times(&power, out[i])
			}
		}
		for i := range square {
			square[i] = times(&power, power[i])
		}
		power = square
	}
	return &out
}

func times(m *[64]uint64, vec uint64) (out uint64) {
	for i := 0; vec != 0; i, vec = i+1, vec>>1 {
		if vec&1 != 0 {
			out ^= m[i]
		}
	}
	return out
}

func sumsOfPut(po s3response.PutObjectInput) s3response.Checksum {
	return s3response.Checksum{
		CRC32: po.ChecksumCRC32, CRC32C: po.ChecksumCRC32C, SHA1: po.ChecksumSHA1, SHA256: po.ChecksumSHA256,
		CRC64NVME: po.ChecksumCRC64NVME, SHA512: po.ChecksumSHA512, MD5: po.ChecksumMD5,
		XXHASH64: po.ChecksumXXHASH64, XXHASH3: po.ChecksumXXHASH3, XXHASH128: po.ChecksumXXHASH128,
	}
}

func sumsOfPart(in *s3.UploadPartInput) s3response.Checksum {
	return s3response.Checksum{
		CRC32: in.ChecksumCRC32, CRC32C: in.ChecksumCRC32C, SHA1: in.ChecksumSHA1, SHA256: in.ChecksumSHA256,
		CRC64NVME: in.ChecksumCRC64NVME, SHA512: in.ChecksumSHA512, MD5: in.ChecksumMD5,
		XXHASH64: in.ChecksumXXHASH64, XXHASH3: in.ChecksumXXHASH3, XXHASH128: in.ChecksumXXHASH128,
	}
}

func sumsOfListed(p types.CompletedPart) s3response.Checksum {
	return s3response.Checksum{
		CRC32: p.ChecksumCRC32, CRC32C: p.ChecksumCRC32C, SHA1: p.ChecksumSHA1, SHA256: p.ChecksumSHA256,
		CRC64NVME: p.ChecksumCRC64NVME, SHA512: p.ChecksumSHA512, MD5: p.ChecksumMD5,
		XXHASH64: p.ChecksumXXHASH64, XXHASH3: p.ChecksumXXHASH3, XXHASH128: p.ChecksumXXHASH128,
	}
}

func sumsOfComplete(in *s3.CompleteMultipartUploadInput) s3response.Checksum {
	return s3response.Checksum{
		CRC32: in.ChecksumCRC32, CRC32C: in.ChecksumCRC32C, SHA1: in.ChecksumSHA1, SHA256: in.ChecksumSHA256,
		CRC64NVME: in.ChecksumCRC64NVME, SHA512: in.ChecksumSHA512, MD5: in.ChecksumMD5,
		XXHASH64: in.ChecksumXXHASH64, XXHASH3: in.ChecksumXXHASH3, XXHASH128: in.ChecksumXXHASH128,
	}
}
