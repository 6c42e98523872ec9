package diskimage

import (
	"archive/tar"
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"hash"
	"io"
	"strings"
)

const (
	maxOVF        = 1 << 20
	maxManifest   = 1 << 20
	maxMembers    = 256
	maxHashedSize = 4 << 20 // a member larger than this is not compared with the manifest
	hintOVA       = "Export it again as one OVA with one disk, for example with ovftool, or upload the VMDK inside it as container_format bare."
)

// member is a file in the archive.
type member struct {
	name string
	span span
}

// envelope is what is needed of an OVF description (DSP0243).
type envelope struct {
	Files []struct {
		ID          string `xml:"id,attr"`
		Href        string `xml:"href,attr"`
		Compression string `xml:"compression,attr"`
		ChunkSize   string `xml:"chunkSize,attr"`
	} `xml:"References>File"`
	Disks []struct {
		FileRef   string `xml:"fileRef,attr"`
		ParentRef string `xml:"parentRef,attr"`
	} `xml:"DiskSection>Disk"`
}

// isOVA says whether the file is a tar archive that begins with an OVF description.
func isOVA(f span, g *signs) (bool, error) {
	if !g.tar {
		return false, nil
	}
	name, _, _ := strings.Cut(string(g.head[:100]), "\x00")
	return strings.HasSuffix(strings.ToLower(name), ".ovf"), nil
}

// ovf inspects an image with container_format ovf. Programs give that name to an OVA, and XenServer to a bare or packed VHD.
func (in *inspection) ovf(g *signs) error {
	is, err := isOVA(in.file, g)
	switch {
	case err != nil:
		return err
	case is:
		return in.ova(g)
	case g.text == "an XML document":
		return in.object(reject(CodeOutsideArchive, hintOVA, "The file is an OVF description alone; the disk it describes is in another file."))
	case g.packing != "" || g.tar:
		in.rep.warn(CodeContainerMismatch, "Set container_format to what the file is.", "container_format says ovf, but the file is an archive without an OVF description; its contents were not inspected.")
		return nil
	}
	in.rep.warn(CodeContainerMismatch, "Set container_format to bare.", "container_format says ovf, but the file is a bare disk.")
	return in.bare(g)
}

// ova inspects an archive of an OVF description and one disk.
func (in *inspection) ova(g *signs) error {
	if is, err := isOVA(in.file, g); err != nil {
		return err
	} else if !is {
		if err := in.object(reject(CodeContainerMismatch, "Set container_format to bare, or upload the OVA.", "container_format says ova, but the file is not an archive that begins with an OVF description.")); err != nil {
			return err
		}
		return in.bare(g)
	}
	if len(g.disks) > 0 || g.iso || g.udf {
		return reject(CodePolyglot, "Make the archive again.", "The file is valid both as an archive and as a disk image.")
	}
	members, err := listMembers(in.file)
	if err != nil {
		return err
	}
	disk, err := diskOf(members)
	if err != nil {
		return err
	}
	if err := checkManifest(members); err != nil {
		return err
	}
	inner, err := sniff(disk)
	if err != nil {
		return err
	}
	if err := checkPolyglot(inner); err != nil {
		return err
	}
	found := "raw"
	if len(inner.disks) > 0 {
		found = inner.disks[0]
	} else if inner.iso {
		found = "iso"
	}
	if in.opts.DiskFormat == "" {
		in.rep.DiskFormat = found
	}
	if rej := in.match(in.opts.DiskFormat, found, inner); rej != nil {
		if err := in.object(rej); err != nil {
			return err
		}
	}
	v, err := in.open(disk, found, inner)
	if err != nil {
		return err
	}
	return in.accept(v)
}

// listMembers reads the headers of the archive.
func listMembers(f span) ([]member, error) {
	source := &failing{r: io.NewSectionReader(f.r, f.base, f.size)}
	at := &seeking{failing: source}
	t := tar.NewReader(at)
	seen := map[string]bool{}
	var members []member
	for {
		h, err := t.Next()
		switch {
		case source.err != nil:
			return nil, source.err
		case errors.Is(err, io.EOF):
			return members, nil
		case err != nil:
			return nil, reject(CodeOVF, hintWhole, "The archive is damaged after %d files: %v.", len(members), err)
		case h.Typeflag != tar.TypeReg || sparse(h):
			return nil, reject(CodeOVF, hintOVA, "The archive member %q is not a regular file.", h.Name)
		case strings.ContainsAny(h.Name, `/\`) || h.Name == "" || strings.HasPrefix(h.Name, "."):
			return nil, reject(CodeOVF, hintOVA, "The archive member %q is not in the top folder.", h.Name)
		case seen[h.Name]:
			return nil, reject(CodeOVF, hintOVA, "The archive has the member %q twice.", h.Name)
		case len(members) == maxMembers:
			return nil, reject(CodeOVF, hintOVA, "The archive has more than %d members.", maxMembers)
		}
		off, err := at.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if !f.has(off, h.Size) {
			return nil, f.ends(off, h.Size)
		}
		seen[h.Name] = true
		members = append(members, member{h.Name, f.sub(off, h.Size, h.Name)})
	}
}

// seeking lets the tar reader jump over contents instead of reading them.
type seeking struct{ *failing }

func (s *seeking) Seek(off int64, whence int) (int64, error) {
	return s.r.(io.Seeker).Seek(off, whence)
}

func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// diskOf reads the description, which is the first member, and returns the one disk that it names.
func diskOf(members []member) (span, error) {
	var none span
	if len(members) == 0 || members[0].span.size > maxOVF {
		return none, reject(CodeOVF, hintOVA, "The OVF description is missing or larger than 1 MiB.")
	}
	text, err := members[0].span.read(0, int(members[0].span.size))
	if err != nil {
		return none, err
	}
	e, err := parseOVF(text)
	if err != nil {
		return none, err
	}
	if len(e.Disks) != 1 {
		return none, reject(CodeOVF, hintOVA, "The OVF description has %d disks; exactly one is accepted.", len(e.Disks))
	}
	if e.Disks[0].ParentRef != "" {
		return none, reject(CodeParent, hintFlatten, "The disk of the OVF description has a parent.")
	}
	var disk *span
	for _, file := range e.Files {
		if strings.ContainsAny(file.Href, `/\:`) || strings.Contains(file.Href, "..") {
			return none, reject(CodeOutsideArchive, hintOVA, "The OVF description refers to %q, which is outside the archive.", file.Href)
		}
		found := false
		for _, m := range members {
			if m.name != file.Href {
				continue
			}
			found = true
			if file.ID != e.Disks[0].FileRef {
				continue
			}
			if file.ChunkSize != "" || (file.Compression != "" && file.Compression != "identity") {
				return none, reject(CodeOVF, hintOVA, "The disk %q of the archive is compressed or in chunks.", file.Href)
			}
			disk = &m.span
		}
		if !found {
			return none, reject(CodeOutsideArchive, hintOVA, "The OVF description refers to %q, which is not in the archive.", file.Href)
		}
	}
	if disk == nil {
		return none, reject(CodeOVF, hintOVA, "The OVF description does not say which file is the disk.")
	}
	return *disk, nil
}

// parseOVF decodes the description. A DOCTYPE, where entities come from, is refused.
func parseOVF(text []byte) (*envelope, error) {
	bad := func(err error) error {
		return reject(CodeOVF, hintOVA, "The OVF description is not valid XML: %v.", err)
	}
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, bad(err)
		}
		if _, ok := token.(xml.Directive); ok {
			return nil, reject(CodeOVF, hintOVA, "The OVF description has a DOCTYPE.")
		}
	}
	e := &envelope{}
	if err := xml.Unmarshal(text, e); err != nil {
		return nil, bad(err)
	}
	return e, nil
}

// checkManifest compares the digests of small members with the manifest, when there is one.
func checkManifest(members []member) error {
	for _, mf := range members {
		if !strings.HasSuffix(strings.ToLower(mf.name), ".mf") {
			continue
		}
		if mf.span.size > maxManifest {
			return reject(CodeOVF, hintOVA, "The manifest of the archive is larger than 1 MiB.")
		}
		text, err := mf.span.read(0, int(mf.span.size))
		if err != nil {
			return err
		}
		lines := 0
		for line := range strings.Lines(string(text)) {
			if lines++; lines > maxMembers*2 {
				break
			}
			if err := checkDigest(members, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkDigest checks one line of a manifest, such as "SHA256(disk.vmdk)= 1f3a…".
func checkDigest(members []member, line string) error {
	method, rest, ok := strings.Cut(strings.TrimSpace(line), "(")
	name, digest, ok2 := strings.Cut(rest, ")=")
	hashes := map[string]func() hash.Hash{"SHA1": sha1.New, "SHA256": sha256.New, "SHA512": sha512.New}
	newHash := hashes[strings.ToUpper(strings.TrimSpace(method))]
	if !ok || !ok2 || newHash == nil {
		return nil
	}
	for _, m := range members {
		if m.name != name || m.span.size > maxHashedSize {
			continue
		}
		b, err := m.span.read(0, int(m.span.size))
		if err != nil {
			return err
		}
		h := newHash()
		h.Write(b)
		if got := hex.EncodeToString(h.Sum(nil)); !strings.EqualFold(got, strings.TrimSpace(digest)) {
			return reject(CodeChecksum, hintWhole, "The digest of %q differs from the one in the manifest of the archive.", name)
		}
	}
	return nil
}
