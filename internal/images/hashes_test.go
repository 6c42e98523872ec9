package images

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func bytesOf(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

func digestsOf(b []byte) Digests {
	m, s := md5.Sum(b), sha512.Sum512(b)
	return Digests{MD5: hex.EncodeToString(m[:]), SHA512: hex.EncodeToString(s[:])}
}

func TestHashesGoOnFromASavedStateAnywhere(t *testing.T) {
	body := bytesOf(1000)
	for cut := 0; cut <= len(body); cut += 37 {
		first := NewHashes()
		first.Write(body[:cut])
		second := NewHashes()
		if err := second.Restore(first.State()); err != nil {
			t.Fatal(err)
		}
		if second.Len() != int64(cut) {
			t.Errorf("cut at %d: got %d bytes so far", cut, second.Len())
		}
		second.Write(body[cut:])
		if got, want := second.Sums(), digestsOf(body); got != want || second.Len() != int64(len(body)) {
			t.Errorf("cut at %d: got %+v of %d bytes, want %+v", cut, got, second.Len(), want)
		}
	}
}

func TestHashesRefuseAStateThatIsNone(t *testing.T) {
	good := NewHashes().State()
	for name, state := range map[string][]byte{
		"nothing": nil, "no JSON": []byte("x"), "no hashes": []byte("{}"), "half": good[:len(good)/2], "another hash": []byte(`{"md5":"AAAA","sha512":"AAAA","n":1}`),
	} {
		if err := NewHashes().Restore(state); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAHashingReaderGivesTheBytesAndTheirDigests(t *testing.T) {
	for _, size := range []int{0, 1, hashBlock - 1, hashBlock, hashBlock + 1, 3*hashBlock + 5} {
		body := bytesOf(size)
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(body), "halves": iotest.HalfReader(bytes.NewReader(body)), "with its end at once": iotest.DataErrReader(bytes.NewReader(body)),
		} {
			h := newHashingReader(r)
			got, err := io.ReadAll(h)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, %s: got %d bytes (error %v), not the same", size, name, len(got), err)
			}
			if got, want := h.digests(), digestsOf(body); got != want {
				t.Errorf("%d bytes, %s: got %+v, want %+v", size, name, got, want)
			}
		}
	}
}

// A body that breaks off ends with io.ErrUnexpectedEOF in net/http. To take that for its end would make an image of half a file.
func TestAHashingReaderPassesOnEveryErrorButTheEnd(t *testing.T) {
	for _, size := range []int{0, 1000, hashBlock, hashBlock + 1000} {
		for _, fault := range []error{io.ErrUnexpectedEOF, errors.New("reset by peer"), Errorf(TooLarge, "Too much.")} {
			body := bytesOf(size)
			got, err := io.ReadAll(newHashingReader(io.MultiReader(bytes.NewReader(body), iotest.ErrReader(fault))))
			if !errors.Is(err, fault) || !bytes.Equal(got, body) {
				t.Errorf("%v after %d bytes: got %d bytes and error %v", fault, size, len(got), err)
			}
		}
	}
}
