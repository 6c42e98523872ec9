package s3engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/crc64nvme"
	"github.com/versity/versitygw/s3err"
	"golang.org/x/sys/unix"
)

// partSizeKey is the metadata of CreateMultipartUpload that says how large every part but the last will be, in
// bytes (x-amz-meta-bullion-part-size).
const partSizeKey = "bullion-part-size"

// upload is one open multipart upload.
type upload struct {
	v    *vault
	dir  string
	spec spec

	completing sync.Mutex // one completion or abortion at a time (G3)

	// gate is held for reading while a block is written into data, and for writing to close it: once data has
	// become an object, no straggler may write into it.
	gate   sync.RWMutex
	closed bool

	mu      sync.Mutex
	parts   map[int32]part
	writing map[int32]bool // slots that somebody writes now
	suspect bool           // the machine was started anew since the parts were written
	changed chan struct{}  // closed and replaced when parts or final change
	final   *final
	chased  bool // a chaser was started
	ctx     context.Context
	cancel  context.CancelFunc
}

// spec is what CreateMultipartUpload said, kept in upload.json.
type spec struct {
	ID           string                  `json:"id"`
	Bucket       string                  `json:"bucket"`
	Key          string                  `json:"key"`
	Initiated    time.Time               `json:"initiated"`
	PartSize     int64                   `json:"part_size,omitempty"` // 0: unknown, every part goes to a side file
	Algorithm    types.ChecksumAlgorithm `json:"algorithm,omitempty"`
	ChecksumType types.ChecksumType      `json:"checksum_type,omitempty"`
	Boot         string                  `json:"boot"` // the boot of the machine in which the parts were last known good
	properties
}

// part is one part that arrived whole; a line of parts.log.
type part struct {
	Number int32     `json:"n"`
	Size   int64     `json:"size"`
	CRC    uint64    `json:"crc"`            // CRC-64/NVME
	Sum    string    `json:"sum,omitempty"`  // by the algorithm of the upload, if it has one
	Side   string    `json:"side,omitempty"` // its file; empty: in its slot of data
	At     time.Time `json:"at"`
	Lost   bool      `json:"lost,omitempty"` // the part does not exist any more
}

// plausible says whether p can be a line that log has written.
func (p part) plausible(partSize int64) bool {
	slot := p.Side == "" && p.Size <= partSize
	side := strings.HasPrefix(p.Side, "side-") && filepath.Base(p.Side) == p.Side
	return p.Number >= 1 && p.Number <= maxParts && p.Size >= 0 && (p.Lost || slot || side)
}

// etag identifies the bytes of a part, well enough to tell a part that was sent twice from one that was changed.
func (p part) etag() string { return fmt.Sprintf(`"%016x%016x"`, p.CRC, p.Size) }

func (u *upload) data() string { return filepath.Join(u.dir, "data") }

// place is the file of a part and where it begins in it.
func (u *upload) place(p part) (name string, off int64) {
	if p.Side != "" {
		return filepath.Join(u.dir, p.Side), 0
	}
	return u.data(), int64(p.Number-1) * u.spec.PartSize
}

func (v *vault) newUpload(dir string, s spec) *upload {
	u := &upload{
		v: v, dir: dir, spec: s,
		parts: map[int32]part{}, writing: map[int32]bool{}, changed: make(chan struct{}),
	}
	u.ctx, u.cancel = context.WithCancel(v.life)
	return u
}

// create makes the directory of an upload, whole or not at all.
func (v *vault) create(s spec) (err error) {
	dir := filepath.Join(v.staging, s.ID)
	tmp := filepath.Join(v.staging, "new-"+s.ID)
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(tmp)
		}
	}()
	if err := os.WriteFile(filepath.Join(tmp, "data"), nil, 0o600); err != nil {
		return err
	}
	if err := v.writeSpec(tmp, s); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return err
	}
	if err := v.flushName(filepath.Join(dir, "data")); err != nil {
		return err
	}
	v.uploadsMu.Lock()
	defer v.uploadsMu.Unlock()
	v.uploads[s.ID] = v.newUpload(dir, s)
	return nil
}

func (v *vault) writeSpec(dir string, s spec) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "new.json"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = v.flush(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, "upload.json"))
}

// find returns the open upload of a key.
func (v *vault) find(bucket, key, id string) (*upload, error) {
	v.uploadsMu.Lock()
	u, ok := v.uploads[id]
	v.uploadsMu.Unlock()
	if !ok || u.spec.Bucket != bucket || u.spec.Key != key {
		return nil, s3err.GetNoSuchUploadErr(strings.Clone(id))
	}
	if err := u.trust(); err != nil {
		return nil, err
	}
	return u, nil
}

// remove ends an upload and deletes what is left of it.
func (u *upload) remove() error {
	u.v.uploadsMu.Lock()
	delete(u.v.uploads, u.spec.ID)
	u.v.uploadsMu.Unlock()
	// Renamed first: what a crash leaves of a half deleted directory must not look like an upload.
	gone := filepath.Join(u.v.staging, "old-"+u.spec.ID)
	if err := os.Rename(u.dir, gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

// shut keeps everybody from writing into data from now on.
func (u *upload) shut() {
	u.gate.Lock()
	defer u.gate.Unlock()
	u.closed = true
}

func (u *upload) reopen() {
	u.gate.Lock()
	defer u.gate.Unlock()
	u.closed = false
}

func (u *upload) isClosed() bool {
	u.gate.RLock()
	defer u.gate.RUnlock()
	return u.closed
}

// signal wakes the chaser; hold mu.
func (u *upload) signal() {
	close(u.changed)
	u.changed = make(chan struct{})
}

// log appends a line to the journal; hold mu. When it returns, the part exists.
func (u *upload) log(p part) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(u.dir, "parts.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	before, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		_ = f.Truncate(before) // half a line would spoil the next one
		return err
	}
	return u.v.flush(f)
}

var uploadID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// loadUploads reads the open uploads from the disk.
func (v *vault) loadUploads() error {
	dirs, err := os.ReadDir(v.staging)
	if err != nil {
		return err
	}
	boot := bootID()
	for _, d := range dirs {
		dir := filepath.Join(v.staging, d.Name())
		var s spec
		b, err := os.ReadFile(filepath.Join(dir, "upload.json"))
		if err == nil {
			err = json.Unmarshal(b, &s)
		}
		if err != nil || s.ID != d.Name() {
			// As a power failure may leave it. Nobody can go on with it, and the client is told NoSuchUpload.
			v.cfg.Log.Warn("an upload cannot be read and is given up; its client has to begin again", "dir", dir, "error", err)
			if !uploadID.MatchString(d.Name()) {
				continue // not ours to delete
			}
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			continue
		}
		u := v.newUpload(dir, s)
		u.suspect = boot == "" || s.Boot != boot
		if v.published(u) {
			// The crash came between the name and the cleaning up.
			u.cancel()
			if err := u.remove(); err != nil {
				return err
			}
			continue
		}
		if err := u.load(); err != nil {
			return fmt.Errorf("upload %s: %w", s.ID, err)
		}
		v.uploads[s.ID] = u
	}
	return nil
}

// published says whether an upload has already become an object.
func (v *vault) published(u *upload) bool {
	if _, err := os.Lstat(u.data()); errors.Is(err, fs.ErrNotExist) {
		return true // data is there from the beginning and leaves only to become the object
	}
	return v.attribute(v.path(u.spec.Bucket, u.spec.Key), attrUpload) == u.spec.ID
}

// load reads the journal, cuts off a line that a crash left unfinished, and removes side files of nobody.
func (u *upload) load() error {
	name := filepath.Join(u.dir, "parts.log")
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	whole := bytes.LastIndexByte(b, '\n') + 1
	if whole < len(b) {
		if err := os.Truncate(name, int64(whole)); err != nil {
			return err
		}
	}
	fi, err := os.Stat(u.data())
	if err != nil {
		return err
	}
	for line := range bytes.Lines(b[:whole]) {
		var p part
		if err := json.Unmarshal(line, &p); err != nil || !p.plausible(u.spec.PartSize) {
			continue // not a part that exists; the client sends it again
		}
		if p.Lost {
			delete(u.parts, p.Number)
			continue
		}
		u.parts[p.Number] = p
	}
	keep := map[string]bool{"upload.json": true, "parts.log": true, "data": true}
	for n, p := range u.parts {
		name, off := u.place(p)
		if p.Side == "" {
			if off+p.Size > fi.Size() {
				delete(u.parts, n) // a completion that failed had already cut it off
			}
			continue
		}
		if side, err := os.Stat(name); err != nil || side.Size() != p.Size {
			delete(u.parts, n)
			continue
		}
		keep[p.Side] = true
	}
	if err := u.punchGaps(fi.Size()); err != nil {
		return err
	}
	files, err := os.ReadDir(u.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !keep[f.Name()] {
			if err := os.Remove(filepath.Join(u.dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// trust makes sure that the parts are what the journal says, after the machine was started anew: what was in memory
// only is gone then, although the journal may have reached the disk.
func (u *upload) trust() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.suspect {
		return nil
	}
	for n, p := range u.parts {
		name, off := u.place(p)
		crc, err := crcOf(name, off, p.Size)
		if err == nil && crc == p.CRC {
			continue
		}
		u.v.cfg.Log.Warn("a part did not survive the restart of the machine; the client has to send it again",
			"key", u.spec.Key, "upload", u.spec.ID, "part", n)
		if err := u.lose(p); err != nil {
			return err
		}
	}
	s := u.spec
	s.Boot = bootID()
	if err := u.v.writeSpec(u.dir, s); err != nil {
		return err
	}
	u.suspect = false
	return nil
}

// lose forgets a part; hold mu.
func (u *upload) lose(p part) error {
	p.Lost = true
	if err := u.log(p); err != nil {
		return err
	}
	delete(u.parts, p.Number)
	u.signal()
	return nil
}

// crcOf reads n bytes of a file from off on.
func crcOf(name string, off, n int64) (crc uint64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r := io.NewSectionReader(f, off, n)
	buf := make([]byte, blockSize)
	var got int64
	for {
		m, err := r.Read(buf)
		crc = crc64nvme.Update(crc, buf[:m])
		got += int64(m)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	if got != n {
		return 0, io.ErrUnexpectedEOF
	}
	return crc, nil
}

// bootID changes whenever the machine is started; empty when the system does not tell.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// punchGaps gives the room of all slots back in which a crash interrupted somebody.
func (u *upload) punchGaps(size int64) error {
	if u.spec.PartSize == 0 {
		return nil
	}
	f, err := os.OpenFile(u.data(), os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var slots []part
	for _, p := range u.parts {
		if p.Side == "" {
			slots = append(slots, p)
		}
	}
	slices.SortFunc(slots, func(a, b part) int { return int(a.Number - b.Number) })
	var end int64
	for _, p := range slots {
		_, off := u.place(p)
		u.punch(f, end, off-end)
		end = off + p.Size
	}
	u.punch(f, end, size-end)
	return nil
}

// punch gives the room of a slot back that holds no part.
func (u *upload) punch(f *os.File, off, size int64) {
	if size <= 0 {
		return
	}
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, size); err != nil {
		u.v.cfg.Log.Debug("the room of an unfinished part is kept until the upload ends", "error", err)
	}
}
