package transfer

import (
	"fmt"
	"math"
	"net/url"
	"strconv"

	"bullion/cmd/bullion/internal/glance"
)

// plan is what is left of an upload: which parts nobody sends yet, and the signatures at hand. It does no I/O.
type plan struct {
	size, partSize int64
	parts          int
	todo           []int // ascending
	signed         map[int]glance.SignedPart
}

// newPlan checks the arithmetic of an upload and plans all parts that S3 does not have in their full length.
func newPlan(u *glance.Upload, size int64) (*plan, error) {
	switch {
	case u.Size != size:
		return nil, fmt.Errorf("upload %s is of %d bytes and the file has %d; it is not the file that the upload began with", u.ID, u.Size, size)
	case u.Parts < 1 || u.PartSize < 1 || u.PartSize > math.MaxInt64/int64(u.Parts) ||
		int64(u.Parts-1)*u.PartSize >= size || int64(u.Parts)*u.PartSize < size:
		return nil, fmt.Errorf("the service describes upload %s wrongly: %d parts of %d bytes are not %d bytes", u.ID, u.Parts, u.PartSize, u.Size)
	}
	p := &plan{size: size, partSize: u.PartSize, parts: u.Parts, signed: map[int]glance.SignedPart{}}
	have := map[int]int64{}
	for _, part := range u.Have {
		have[part.Number] = part.Size
	}
	for n := 1; n <= p.parts; n++ {
		if _, length := p.span(n); have[n] != length {
			p.todo = append(p.todo, n)
		}
	}
	return p, p.keep(u.Signed)
}

// span is where part n, counted from 1, begins and how many bytes it has.
func (p *plan) span(n int) (off, length int64) {
	off = int64(n-1) * p.partSize
	return off, min(p.partSize, p.size-off)
}

// left is how many bytes of the parts in todo there are.
func (p *plan) left() (bytes int64) {
	for _, n := range p.todo {
		_, length := p.span(n)
		bytes += length
	}
	return bytes
}

// take hands out the next part; ok is false when there is none.
func (p *plan) take() (n int, ok bool) {
	if len(p.todo) == 0 {
		return 0, false
	}
	n, p.todo = p.todo[0], p.todo[1:]
	return n, true
}

// unsigned names the parts to sign when part n has no signature: itself and those that come next.
func (p *plan) unsigned(n int) []int {
	numbers := []int{n}
	for _, m := range p.todo {
		if len(numbers) == glance.MaxSignings {
			break
		}
		if _, ok := p.signed[m]; !ok {
			numbers = append(numbers, m)
		}
	}
	return numbers
}

// keep takes signatures up, after a check that each sends what it should.
func (p *plan) keep(signed []glance.SignedPart) error {
	for _, s := range signed {
		if s.Number < 1 || s.Number > p.parts {
			return fmt.Errorf("the service signed part %d of %d", s.Number, p.parts)
		}
		_, length := p.span(s.Number)
		for name, value := range s.Headers {
			if isContentLength(name) && value != strconv.FormatInt(length, 10) {
				return fmt.Errorf("the service signed %s bytes for part %d, which has %d", value, s.Number, length)
			}
		}
		if u, err := url.Parse(s.URL); err != nil || u.Host == "" || s.Method != "PUT" || s.Size != length {
			return fmt.Errorf("the service signed part %d wrongly: %s of %d bytes", s.Number, s.Method, s.Size)
		}
		p.signed[s.Number] = s
	}
	return nil
}
