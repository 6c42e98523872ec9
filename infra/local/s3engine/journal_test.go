package s3engine

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/crc64nvme"
)

// FuzzJournal opens an upload whose journal is anything at all: it must open, show only parts whose bytes can be
// there, and a line that is written afterwards must be read back.
func FuzzJournal(f *testing.F) {
	whole, err := json.Marshal(part{Number: 1, Size: 100, CRC: 7, At: time.Unix(1, 0)})
	if err != nil {
		f.Fatal(err)
	}
	side, _ := json.Marshal(part{Number: 2, Size: 10, Side: "side-00002-1"})
	f.Add([]byte(nil))
	f.Add(append(whole, '\n'))
	f.Add(append(append(whole, '\n'), side...))
	f.Add(append(side, '\n'))
	f.Add([]byte(`{"n":1,"size":-5}` + "\n" + `{"n":0,"size":1}` + "\n" + `{"n":20000,"size":1}` + "\n"))
	f.Add([]byte(`{"n":1,"size":9223372036854775807}` + "\n{\n"))
	f.Add([]byte(`{"n":3,"size":4,"side":"../../../etc/passwd"}` + "\n"))
	f.Fuzz(func(t *testing.T, journal []byte) {
		dir := t.TempDir()
		life, stop := context.WithCancel(context.Background())
		defer stop()
		v := &vault{cfg: Config{Log: slog.New(slog.DiscardHandler)}, staging: filepath.Dir(dir), life: life}
		for name, b := range map[string][]byte{"data": make([]byte, 1000), "side-00002-1": make([]byte, 10), "parts.log": journal} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		u := v.newUpload(dir, spec{ID: "x", PartSize: 100})
		if err := u.load(); err != nil {
			t.Fatalf("load: %v", err)
		}
		for n, p := range u.parts {
			name, off := u.place(p)
			if filepath.Dir(name) != dir || off < 0 || p.Size < 0 || n < 1 || n > maxParts {
				t.Errorf("part %d of %d bytes at %d of %s cannot be", n, p.Size, off, name)
			}
			if _, err := crcOf(name, off, p.Size); err != nil {
				t.Errorf("part %d: %v", n, err)
			}
		}
		want := part{Number: 9, Size: 5, CRC: 1, At: time.Unix(2, 0).UTC()}
		if err := u.log(want); err != nil {
			t.Fatal(err)
		}
		again := v.newUpload(dir, u.spec)
		if err := again.load(); err != nil {
			t.Fatalf("load again: %v", err)
		}
		if got := again.parts[9]; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestJoinedCRCsAreThoseOfTheWhole(t *testing.T) {
	b := make([]byte, 1_000_000)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	j := crcJoiner{}
	for _, at := range []int{0, 1, 7, 4096, 500_000, 999_999, 1_000_000} {
		got := j.join(crc64nvme.Checksum(b[:at]), crc64nvme.Checksum(b[at:]), int64(len(b)-at))
		if want := crc64nvme.Checksum(b); got != want {
			t.Errorf("joined at %d: got %x, want %x", at, got, want)
		}
	}
}
