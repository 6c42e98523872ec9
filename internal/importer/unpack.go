package importer

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"

	"bullion/internal/images"
)

// What a packed file may cost. Sparse disks pack well, so the ratio counts only beyond a size that does no harm.
const (
	maxWindow   = 128 << 20 // bytes of memory for what an unpacker looks back at: xz -9 and zstd --ultra need 64 and 128 MiB
	harmless    = 1 << 30   // bytes
	maxRatio    = 1000      // bytes out of one byte in
	unpackBlock = 64 << 10  // bytes
)

// packedBy names the packer by the first bytes of a file, "" for none.
func packedBy(head []byte) string {
	for _, p := range []struct{ name, magic string }{
		{"gzip", "\x1f\x8b\x08"},
		{"bzip2", "BZh"},
		{"xz", "\xfd7zXZ\x00"},
		{"zstd", "\x28\xb5\x2f\xfd"},
	} {
		if bytes.HasPrefix(head, []byte(p.magic)) && (p.name != "bzip2" || len(head) > 9 && string(head[4:10]) == "1AY&SY") {
			return p.name
		}
	}
	return ""
}

// unpack reads what is packed in r, in bounded memory.
func unpack(r io.Reader, name string) (io.ReadCloser, error) {
	in := &counting{r: r}
	u := &unpacker{in: in, name: name, close: func() {}}
	var err error
	switch name {
	case "gzip":
		u.out, err = gzip.NewReader(in)
	case "bzip2":
		u.out = bzip2.NewReader(in)
	case "xz":
		u.out, err = xz.NewReader(in, maxWindow)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true)); err == nil {
			u.out, u.close = d, d.Close
		}
	}
	if err != nil {
		return nil, damaged(name, err)
	}
	return u, nil
}

func damaged(name string, err error) error {
	return images.Wrap(images.Invalid, err, "The file at the source is packed with %s and cannot be unpacked: it is damaged, cut off or needs more than %d MiB of memory.", name, maxWindow>>20)
}

type unpacker struct {
	in    *counting
	out   io.Reader
	n     int64 // bytes out
	name  string
	close func()
}

func (u *unpacker) Read(p []byte) (int, error) {
	n, err := u.out.Read(p[:min(len(p), unpackBlock)])
	u.n += int64(n)
	switch {
	case u.n > harmless && u.n/maxRatio > u.in.n:
		return 0, images.Errorf(images.Invalid, "The file at the source unpacks to more than %d times its size; unpack it and upload it instead.", maxRatio)
	case err != nil && err != io.EOF:
		err = damaged(u.name, err)
	}
	return n, err
}

func (u *unpacker) Close() error {
	u.close()
	return nil
}

type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
