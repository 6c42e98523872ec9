package corpus

import (
	"bytes"
	"hash/crc32"
	"os"
)

// interesting are numbers that break arithmetic.
var interesting = []uint64{0, 1, 2, 7, 511, 512, 513, 0x7f, 0xff, 0x7fff, 0xffff, 1 << 16, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 40, 1<<62 | 1, 1<<63 - 1, 1 << 63, 1<<64 - 1}

// Sectors returns the offsets of the sectors that are not all zeros, at most max of them.
func (m *Image) Sectors(max int) []int64 {
	var offs []int64
	b := make([]byte, 1<<20)
	zero := make([]byte, sector)
	for at := int64(0); at < m.size; at += int64(len(b)) {
		n, _ := m.ReadAt(b, at)
		for s := 0; s < n; s += sector {
			if end := min(s+sector, n); !bytes.Equal(b[s:end], zero[:end-s]) {
				if offs = append(offs, at+int64(s)); len(offs) == max {
					return offs
				}
			}
		}
	}
	return offs
}

// Mutate returns a copy of an image with changes that script says, eight bytes for each: what to write (number, width, byte order, or where to cut), which of the
// sectors in hot, the offset in it, and the number. Checksums are then made right again, so that a parser goes on to what they protect.
func (m *Image) Mutate(hot []int64, script []byte) *Image {
	c := m.Clone()
	for ; len(script) >= 8 && len(hot) > 0; script = script[8:] {
		at := hot[(int(script[1])|int(script[2])<<8)%len(hot)] + int64(script[3])*2
		v := uint64(le.Uint32(script[4:]))
		if script[0]&0x10 != 0 {
			v = interesting[v%uint64(len(interesting))]
		}
		order := be
		switch op := script[0] & 7; {
		case op == 7:
			c.Truncate(min(c.size, at))
		case op == 6:
			c.Put(at, script[4:8])
		case op == 0:
			c.Put(at+int64(script[0]>>7), []byte{byte(v)})
		case script[0]&8 != 0:
			putLE(c, op, at, v)
		case op <= 2:
			c.U16(order, at, uint16(v))
		case op <= 4:
			c.U32(order, at, uint32(v))
		default:
			c.U64(order, at, v)
		}
		if c.size > m.size {
			c.Truncate(m.size)
		}
	}
	return c.reseal()
}

func putLE(m *Image, op byte, at int64, v uint64) {
	switch {
	case op <= 2:
		m.U16(le, at, uint16(v))
	case op <= 4:
		m.U32(le, at, uint32(v))
	default:
		m.U64(le, at, v)
	}
}

// reseal makes the checksums of VHD, VHDX and GPT right.
func (m *Image) reseal() *Image {
	read := func(at int64, n int) []byte {
		b := make([]byte, n)
		if at >= 0 && at+int64(n) <= m.size {
			m.ReadAt(b, at)
		}
		return b
	}
	for _, at := range []int64{0, m.size - sector} {
		if b := read(at, sector); string(b[:8]) == "conectix" {
			m.Put(at, seal(b, 64))
		}
	}
	if b := read(sector, 1024); string(b[:8]) == "cxsparse" {
		m.Put(sector, seal(b, 36))
	}
	if string(read(0, 8)) == "vhdxfile" && m.size >= 320<<10 {
		m.seal32(64<<10, 4096).seal32(128<<10, 4096).seal32(192<<10, 64<<10).seal32(256<<10, 64<<10)
	}
	if b := read(sector, sector); string(b[:8]) == "EFI PART" {
		table, n := int64(le.Uint64(b[72:])), int64(le.Uint32(b[80:]))*int64(le.Uint32(b[84:]))
		if table > 0 && table < m.size/sector && n >= 0 && n <= 1<<20 {
			le.PutUint32(b[88:], crc32.ChecksumIEEE(read(table*sector, int(n))))
		}
		le.PutUint32(b[16:], 0)
		if size := le.Uint32(b[12:]); size <= sector {
			le.PutUint32(b[16:], crc32.ChecksumIEEE(b[:size]))
		}
		m.Put(sector, b)
	}
	return m
}

// ReadSparse reads a file, leaving out the blocks that are all zeros.
func ReadSparse(name string) (*Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m := NewImage(st.Size())
	b, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); at < st.Size(); at += int64(len(b)) {
		n, err := f.ReadAt(b, at)
		if n == 0 {
			return nil, err
		}
		if !bytes.Equal(b[:n], zero[:n]) {
			m.Put(at, b[:n])
		}
	}
	return m, nil
}
