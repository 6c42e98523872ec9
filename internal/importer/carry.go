package importer

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"bullion/internal/fetch"
	"bullion/internal/images"
)

// errStorage is in the chain of an error of our own storage.
var errStorage = errors.New("the storage did not take a part")

// fetch brings the file into the storage. The digests are nil when nobody saw all bytes in order.
func (r *run) fetch(ctx context.Context, i *images.Image) (images.Blob, *images.Digests, error) {
	source, i, err := r.open(ctx, i)
	if err != nil {
		return images.Blob{}, nil, err
	}
	r.total.Store(max(source.Size, 0))
	packed := ""
	if i.ContainerFormat != "compressed" && i.Import.Method == "web-download" {
		packed = packedBy(source.Head)
	}
	algo, digits, _ := strings.Cut(i.Import.Checksum, ":")
	plan := images.ImportPlan{Size: source.Size, Validator: source.Validator}
	if packed != "" {
		plan.Size = -1
	} else if algo == "sha512" {
		plan.SHA512 = digits
	}
	plan.Parts = packed == "" && (algo == "" || algo == "sha512") && source.Ranges && source.Validator != "" && source.Size > 0
	if i, err = r.Images.BeginImport(ctx, r.imageID, r.holder, plan); err != nil {
		return images.Blob{}, nil, err
	}
	if plan.Parts {
		b, err := r.inParts(ctx, i, source)
		return b, nil, err
	}
	return r.asStream(ctx, i, source, plan.Size, packed)
}

// asStream reads the file in order: through its checksum, then unpacked, into the storage.
func (r *run) asStream(ctx context.Context, i *images.Image, source *fetch.Source, size int64, packed string) (images.Blob, *images.Digests, error) {
	r.fetched.Store(0)
	body := source.Reader(ctx)
	defer body.Close()
	algo, want, _ := strings.Cut(i.Import.Checksum, ":")
	sum := hashOf(algo)
	raw := &remembering{r: io.TeeReader(body, io.MultiWriter(sum, (*counter)(&r.fetched)))}
	var file io.Reader = raw
	if packed != "" {
		unpacked, err := unpack(raw, packed)
		if err != nil {
			return images.Blob{}, nil, errors.Join(raw.err, err)
		}
		defer unpacked.Close()
		file = unpacked
	}
	checked := &remembering{r: file, atEnd: func() error {
		// An unpacker stops at the end of what is packed; the file may have padding behind it.
		if _, err := io.Copy(io.Discard, raw); err != nil {
			return err
		}
		if algo != "" && hex.EncodeToString(sum.Sum(nil)) != want {
			return images.Errorf(images.Invalid, "The %s of the file at the source is not the one that was given; check both, or use another mirror.", strings.ToUpper(algo))
		}
		return nil
	}}
	b, digests, err := r.Images.PutImport(ctx, i, checked, size)
	switch {
	case raw.err != nil: // before what it made of the others
		return b, nil, raw.err
	case checked.err != nil:
		return b, nil, checked.err
	case err != nil:
		return b, nil, err
	}
	return b, &digests, nil
}

// counter counts what is written to it.
type counter atomic.Int64

func (c *counter) Write(p []byte) (int, error) {
	(*atomic.Int64)(c).Add(int64(len(p)))
	return len(p), nil
}

// remembering keeps the error of a reader, which a taker may replace by its own; atEnd decides whether the end is a good one.
type remembering struct {
	r     io.Reader
	atEnd func() error
	ended bool
	err   error
}

func (m *remembering) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if m.ended {
		return 0, io.EOF
	}
	n, err := m.r.Read(p)
	if errors.Is(err, io.EOF) {
		m.ended, err = true, nil
		if m.atEnd != nil {
			err = m.atEnd()
		}
		if err == nil {
			return n, io.EOF
		}
	}
	m.err = err
	return n, err
}

func hashOf(algo string) hash.Hash {
	switch algo {
	case "md5":
		return md5.New()
	case "sha1":
		return sha1.New()
	case "sha512":
		return sha512.New()
	}
	return sha256.New()
}

// inParts fetches the parts that the storage lacks, several at once, and makes the object of them.
func (r *run) inParts(ctx context.Context, i *images.Image, source *fetch.Source) (images.Blob, error) {
	missing, have, err := r.Images.ImportParts(ctx, i)
	if err != nil {
		return images.Blob{}, err
	}
	r.fetched.Store(have)
	all, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	numbers := make(chan int)
	var workers sync.WaitGroup
	for range min(cmp.Or(r.Parallel, 4), len(missing)) {
		workers.Go(func() {
			for n := range numbers {
				if err := r.part(all, i, source, n); err != nil {
					stop(err)
					return
				}
				r.fetched.Add(i.Upload.PartLength(n))
			}
		})
	}
	for _, n := range missing {
		select {
		case numbers <- n:
		case <-all.Done():
		}
	}
	close(numbers)
	workers.Wait()
	if all.Err() != nil {
		return images.Blob{}, context.Cause(all)
	}
	return r.Images.CompleteImport(ctx, i)
}

// part carries one part, and tries again when that may help.
func (r *run) part(ctx context.Context, i *images.Image, source *fetch.Source, n int) error {
	return r.Client.Retry(ctx, func() (bool, error) {
		signed, err := r.Images.SignImportPart(ctx, i, n)
		if err != nil {
			return false, err
		}
		size := i.Upload.PartLength(n)
		body, err := source.Range(ctx, int64(n-1)*i.Upload.PartSize, size)
		if err != nil {
			return false, err
		}
		defer body.Close()
		from := &remembering{r: body}
		request, err := http.NewRequestWithContext(ctx, signed.Method, signed.URL, io.NopCloser(from))
		if err != nil {
			return false, fmt.Errorf("%w: the request for part %d cannot be made", errStorage, n) // err would hold the signed address
		}
		request.Header, request.ContentLength = http.Header(signed.Header).Clone(), size
		answer, err := cmp.Or(r.Storage, network).RoundTrip(request)
		if from.err != nil {
			if answer != nil {
				answer.Body.Close()
			}
			return false, sourceError(from.err)
		}
		if err != nil {
			return false, &fetch.Error{Temporary: true, Cause: fmt.Errorf("%w: %w", errStorage, withoutURL(err))}
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		if answer.StatusCode != http.StatusOK {
			return false, &fetch.Error{Temporary: true, Cause: fmt.Errorf("%w: part %d: %s %.300q", errStorage, n, answer.Status, text)}
		}
		return true, nil
	})
}

// sourceError makes an error of a source's body one that tells whether to try again.
func sourceError(err error) error {
	if _, ok := errors.AsType[*fetch.Error](err); ok {
		return err
	}
	return fetch.BrokeOff(err)
}

// withoutURL takes the signed address out of the error of a request: it is a secret.
func withoutURL(err error) error {
	type unwrapper interface{ Unwrap() error }
	for err != nil {
		if inner, ok := err.(unwrapper); ok && strings.Contains(err.Error(), "://") {
			err = inner.Unwrap()
			continue
		}
		return err
	}
	return errors.New("the request failed")
}
