package images

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"sync"
)

// Hashes are the two digests of a sequence of bytes, computed on two cores, with a state that can be saved.
type Hashes struct {
	md5, sha512 hash.Hash
	n           int64
}

// NewHashes begins at no bytes.
func NewHashes() *Hashes { return &Hashes{md5: md5.New(), sha512: sha512.New()} }

// Write adds bytes, as fast as the slower of the hashes. It does not fail.
func (h *Hashes) Write(p []byte) (int, error) {
	var wg sync.WaitGroup
	wg.Go(func() { h.md5.Write(p) })
	h.sha512.Write(p)
	wg.Wait()
	h.n += int64(len(p))
	return len(p), nil
}

// Len is the number of bytes so far.
func (h *Hashes) Len() int64 { return h.n }

// Sums are the digests of the bytes so far.
func (h *Hashes) Sums() Digests {
	return Digests{MD5: hex.EncodeToString(h.md5.Sum(nil)), SHA512: hex.EncodeToString(h.sha512.Sum(nil))}
}

// hashesState is how the state is saved. Go promises that later releases read what earlier ones wrote.
type hashesState struct {
	MD5    []byte `json:"md5"`
	SHA512 []byte `json:"sha512"`
	N      int64  `json:"n"`
}

// State is what Restore goes on from. It may hold up to 128 of the bytes, so it is as secret as they are.
func (h *Hashes) State() []byte {
	m, err1 := h.md5.(encoding.BinaryMarshaler).MarshalBinary()
	s, err2 := h.sha512.(encoding.BinaryMarshaler).MarshalBinary()
	b, err3 := json.Marshal(hashesState{m, s, h.n})
	if err1 != nil || err2 != nil || err3 != nil {
		panic("the hashes of the standard library can always be saved")
	}
	return b
}

// Restore goes on from a saved state.
func (h *Hashes) Restore(state []byte) error {
	var s hashesState
	if err := json.Unmarshal(state, &s); err != nil {
		return err
	}
	if err := h.md5.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.MD5); err != nil {
		return err
	}
	if err := h.sha512.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.SHA512); err != nil {
		return err
	}
	h.n = s.N
	return nil
}

// hashingReader hashes what is read through it, one block behind the reader, so that hashing and sending overlap.
type hashingReader struct {
	src     io.Reader
	hashes  *Hashes
	blocks  [2][]byte
	turn    int
	hashing sync.WaitGroup
	rest    []byte // of the block that is being given out
	err     error
}

const hashBlock = 1 << 20 // bytes

func newHashingReader(src io.Reader) *hashingReader {
	return &hashingReader{src: src, hashes: NewHashes(), blocks: [2][]byte{make([]byte, hashBlock), make([]byte, hashBlock)}}
}

func (r *hashingReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		block := r.blocks[r.turn]
		r.turn = 1 - r.turn
		// Not io.ReadFull: the error of a body that broke off is io.ErrUnexpectedEOF too, and must not pass for its end.
		n := 0
		for n < len(block) && r.err == nil {
			var m int
			m, r.err = r.src.Read(block[n:])
			n += m
		}
		r.hashing.Wait()
		if r.rest = block[:n]; n == 0 {
			return 0, r.err
		}
		r.hashing.Go(func() { r.hashes.Write(block[:n]) })
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// digests are those of everything that was read.
func (r *hashingReader) digests() Digests {
	r.hashing.Wait()
	return r.hashes.Sums()
}
