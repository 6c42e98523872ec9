package diskimage

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
)

// partition is one entry of a partition table.
type partition struct {
	start, size int64  // bytes
	guid        string // GPT type, in upper case; "" in an MBR
	kind        byte   // MBR type; 0 in a GPT
	active      bool   // MBR boot flag, or the GPT attribute "legacy BIOS bootable"
}

// partitionTable is what the first sectors say about the disk.
type partitionTable struct {
	scheme   string // "gpt", "mbr", or "" when there is none
	parts    []partition
	code     bool // sector 0 holds boot code
	warnings []Warning
}

// The partition types that matter here.
const (
	guidESP       = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	guidBIOSBoot  = "21686148-6449-6E6F-744E-656564454649"
	guidRootX64   = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
	guidRootARM64 = "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"
	mbrESP        = 0xef
	mbrProtective = 0xee
)

const (
	maxGPTEntries  = 1024
	maxLogicals    = 128
	maxFloppyBytes = 2880 << 10
)

// readPartitions reads the partition table of a disk. A disk without one is no error. A rejection says that the table contradicts itself or the
// disk: a partition past the end, an overlap, a GPT of which neither copy is valid.
func readPartitions(d span, g *signs) (*partitionTable, error) {
	t := &partitionTable{}
	if len(g.head) < 512 {
		return t, nil
	}
	mbr := g.head[:512]
	if !g.bootSig && !g.gpt {
		return t, nil
	}
	t.code = g.bootSig && slices.ContainsFunc(mbr[:440], func(b byte) bool { return b != 0 })
	if !g.gpt && (g.fs != "" || g.kernel != "") {
		return t, nil // the boot sector of a file system or kernel, whose bytes 446 to 509 are no table
	}
	protective, used, flags := false, 0, true
	for e := range slices.Chunk(mbr[446:510], 16) {
		protective = protective || e[4] == mbrProtective
		if e[4] != 0 {
			used++
		}
		flags = flags && (e[0] == 0 || e[0] == 0x80)
	}
	switch {
	case g.gpt, protective:
		if g.bootSig && !flags {
			return nil, badFlags()
		}
		if g.bootSig && protective && used > 1 {
			return nil, reject(CodePartitions, "Convert the disk to a plain GPT, for example with gdisk (x, n, w).", "The protective MBR holds further partitions beside the one of type EE, so programs disagree about what the disk holds.")
		}
		if err := t.readGPT(d); err != nil {
			return nil, err
		}
	case !flags && d.size <= maxFloppyBytes:
		return t, nil // boot code of a floppy reaches into these bytes
	case !flags:
		return nil, badFlags()
	case used > 0:
		if err := t.readMBR(d, mbr); err != nil {
			return nil, err
		}
	}
	return t, t.check(d)
}

func badFlags() *Rejection {
	return reject(CodePartitions, "Write the partition table again, for example with sfdisk.", "The partition table in sector 0 has a boot flag that is neither 00 nor 80.")
}

// readGPT reads the primary table or, when that is damaged, the backup at the end of the disk.
func (t *partitionTable) readGPT(d span) error {
	t.scheme = "gpt"
	var reasons []string
	for _, sector := range []int64{512, 4096} {
		reason, err := t.readGPTCopy(d, sector, 1)
		if err != nil || reason == "" {
			return err
		}
		reasons = append(reasons, reason)
	}
	for _, sector := range []int64{512, 4096} {
		if reason, err := t.readGPTCopy(d, sector, d.size/sector-1); err != nil {
			return err
		} else if reason == "" {
			t.warnings = append(t.warnings, Warning{CodePartitions, "The primary GPT is damaged (" + reasons[0] + "); the backup at the end of the disk was read.", "Run gdisk on it to repair it."})
			return nil
		}
	}
	return reject(CodePartitions, hintWhole, "Neither the primary nor the backup GPT is valid: %s.", reasons[0])
}

// readGPTCopy reads the header in a sector and its entries. A reason that is not "" says why that copy is not valid.
func (t *partitionTable) readGPTCopy(d span, sector, lba int64) (reason string, err error) {
	if lba < 1 || !d.has(lba*sector, sector) {
		return "the disk has no such sector", nil
	}
	h, err := d.read(lba*sector, int(sector))
	if err != nil {
		return "", err
	}
	size := le.Uint32(h[12:])
	if string(h[:8]) != "EFI PART" || size < 92 || int64(size) > sector {
		return "no GPT header", nil
	}
	sum := le.Uint32(h[16:])
	sealed := slices.Clone(h[:size])
	clear(sealed[16:20])
	if crc32.ChecksumIEEE(sealed) != sum {
		return "the checksum of the header is wrong", nil
	}
	entries, width := int64(le.Uint32(h[80:])), int64(le.Uint32(h[84:]))
	if entries > maxGPTEntries || width < 128 || width > 1024 || width&(width-1) != 0 {
		return fmt.Sprintf("it has %d entries of %d bytes", entries, width), nil
	}
	first, table := le.Uint64(h[40:]), le.Uint64(h[72:])
	if table > uint64(d.size/sector) || first > uint64(d.size) {
		return "its entries are past the end of the disk", nil
	}
	if le.Uint64(h[24:]) != uint64(lba) {
		return "it says that it is in another sector", nil
	}
	if !d.has(int64(table)*sector, entries*width) {
		return "its entries are past the end of the disk", nil
	}
	b, err := d.read(int64(table)*sector, int(entries*width))
	if err != nil {
		return "", err
	}
	if crc32.ChecksumIEEE(b) != le.Uint32(h[88:]) {
		return "the checksum of the entries is wrong", nil
	}
	t.parts = nil
	for e := range slices.Chunk(b, int(width)) {
		guid := guidString(e[:16])
		if strings.Trim(guid, "0-") == "" {
			continue
		}
		from, to := le.Uint64(e[32:]), le.Uint64(e[40:])
		if to < from || to >= 1<<50 {
			return "", reject(CodePartitions, "Write the partition table again.", "The GPT has a partition from sector %d to %d.", from, to)
		}
		t.parts = append(t.parts, partition{start: int64(from) * sector, size: int64(to-from+1) * sector, guid: guid, active: e[48]&4 != 0})
	}
	if lba == 1 && le.Uint64(h[32:]) >= uint64(d.size/sector) {
		t.warnings = append(t.warnings, Warning{CodePartitions, "The backup GPT should be past the end of the disk.", "Run gdisk on it to move it (x, e, w)."})
	}
	return "", nil
}

// readMBR reads the four primary partitions and the chain of logical ones.
func (t *partitionTable) readMBR(d span, mbr []byte) error {
	t.scheme = "mbr"
	for e := range slices.Chunk(mbr[446:510], 16) {
		p := mbrEntry(e, 0)
		switch p.kind {
		case 0:
		case 0x05, 0x0f, 0x85:
			if err := t.readLogicals(d, p); err != nil {
				return err
			}
		default:
			if p.size > 0 {
				t.parts = append(t.parts, p)
			}
		}
	}
	return nil
}

func (t *partitionTable) readLogicals(d span, extended partition) error {
	at := extended.start
	for range maxLogicals {
		if !d.has(at, 512) {
			return reject(CodeTruncated, hintWhole, "The extended partition continues at byte %d, past the end of the %s at byte %d.", at, d.name, d.size)
		}
		b, err := d.read(at, 512)
		if err != nil {
			return err
		}
		if b[510] != 0x55 || b[511] != 0xaa {
			return nil
		}
		if p := mbrEntry(b[446:], at); p.kind != 0 && p.size > 0 {
			t.parts = append(t.parts, p)
		}
		next := mbrEntry(b[462:], extended.start)
		if next.kind == 0 || next.size == 0 {
			return nil
		}
		at = next.start
	}
	return reject(CodePartitions, "Write the partition table again.", "The chain of logical partitions has more than %d links.", maxLogicals)
}

func mbrEntry(e []byte, base int64) partition {
	return partition{start: base + int64(le.Uint32(e[8:]))*512, size: int64(le.Uint32(e[12:])) * 512, kind: e[4], active: e[0] == 0x80}
}

// check looks for partitions past the end and for overlaps.
func (t *partitionTable) check(d span) error {
	sorted := slices.SortedFunc(slices.Values(t.parts), func(a, b partition) int {
		if a.start != b.start {
			return int(min(max(a.start-b.start, -1), 1))
		}
		return int(min(max(a.size-b.size, -1), 1))
	})
	for i, p := range sorted {
		if !d.has(p.start, p.size) {
			return reject(CodeTruncated, hintWhole, "A partition ends at byte %d, past the end of the %s at byte %d.", p.start+p.size, d.name, d.size)
		}
		if i > 0 && sorted[i-1].start+sorted[i-1].size > p.start {
			return reject(CodePartitions, "Write the partition table again without overlaps.", "Two partitions overlap at byte %d.", p.start)
		}
	}
	return nil
}

// guidString writes the 16 bytes of a GUID as they are stored on disk, the first three fields in little-endian order.
func guidString(b []byte) string {
	return fmt.Sprintf("%08X-%04X-%04X-%04X-%012X", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), be.Uint16(b[8:]), b[10:16])
}
