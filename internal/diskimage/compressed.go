package diskimage

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// compressedPrefix is how much of a compressed image is unpacked: the headers of every format are in it.
const compressedPrefix = 2 << 20

// compressed inspects an image with container_format compressed as far as its first bytes go.
func (in *inspection) compressed(g *signs) error {
	if g.packing == "" {
		return in.object(reject(CodeContainerMismatch, "Set container_format to bare, or compress the file, for example with gzip.", "container_format says compressed, but the file is not compressed."))
	}
	b, err := unpackPrefix(in.file, g.packing, compressedPrefix)
	if err != nil {
		return err
	}
	if b == nil {
		in.rep.warn(CodeNotInspected, "", "The contents of a %s file are not inspected.", g.packing)
		return nil
	}
	f := span{bytes.NewReader(b), 0, int64(len(b)), "start of the decompressed image"}
	inner, err := sniffHead(f)
	if err != nil {
		return err
	}
	if err := checkPolyglot(inner); err != nil {
		return err
	}
	found, err := in.detect(f, inner)
	if err != nil {
		return err
	}
	if in.opts.DiskFormat == "" {
		in.rep.DiskFormat = found
	}
	if rej := in.match(in.opts.DiskFormat, found, inner); rej != nil {
		if err := in.object(rej); err != nil {
			return err
		}
	}
	in.rep.warn(CodeNotInspected, "", "The image is compressed; only its first %d bytes were inspected.", len(b))
	if found == "raw" || found == "iso" {
		return nil
	}
	v, err := in.open(f, found, inner)
	if rej := asRejection(err); rej != nil && rej.Code == CodeTruncated {
		return nil // only the start of it is here
	}
	if err == nil {
		in.rep.VirtualSize = v.size
	}
	return err
}

// unpackPrefix returns the first n bytes, or fewer, of a compressed file; nil when the method is not one that can be unpacked here.
func unpackPrefix(f span, method string, n int) ([]byte, error) {
	in := &failing{r: io.NewSectionReader(f.r, f.base, f.size)}
	var r io.Reader
	var err error
	switch method {
	case "gzip":
		r, err = gzip.NewReader(in)
	case "bzip2":
		r = bzip2.NewReader(in)
	case "zstd":
		var z *zstd.Decoder
		z, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderMaxWindow(32<<20), zstd.WithDecoderLowmem(true))
		if err == nil {
			defer z.Close()
			r = z
		}
	default:
		return nil, nil
	}
	b := make([]byte, 0, min(n, 64<<10))
	if err == nil {
		var buf bytes.Buffer
		_, err = io.Copy(&buf, io.LimitReader(r, int64(n)))
		b = append(b, buf.Bytes()...)
	}
	if in.err != nil {
		return nil, in.err // of the reader, not of the image
	}
	if err != nil && len(b) < n {
		return nil, reject(CodeCorrupt, hintWhole, "The %s file cannot be decompressed: %v.", method, err)
	}
	return b, nil
}

// failing remembers an error of the reader underneath, which decompressors would otherwise mix with their own.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}
