// Package migrate copies a vault into another: records, bytes, members and definitions of metadata. It is how images move from one machine to AWS.
//
// Images keep their ids, so that clouds that name them need no change, their times, properties and members. Bytes go the way of every upload at the target: they are
// inspected there, and active only when valid; they are hashed on the way, and both hashes must be those of the record. A run can be stopped at any moment and
// started again: what is complete is left alone, what is not is begun anew. Nothing is changed at the source.
//
// What stays behind: users, uploads that are open, the history, and images that are being deleted.
package migrate

import (
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"

	"bullion/internal/images"
	"bullion/internal/metadefs"
)

// Vault is where images are: records and bytes.
type Vault struct {
	Store    images.Store
	Blobs    images.Blobs
	Metadefs metadefs.Store
}

// Migration copies From into To. Set the exported fields before Run.
type Migration struct {
	From Vault
	// To is the service at the target: it must examine what it gets, and let an administrator do everything.
	To         *images.Service
	ToMetadefs metadefs.Store

	// Project translates the id of a project; nil keeps it.
	Project func(id string) string
	// DryRun only says what would be done.
	DryRun bool
	// Verify reads the bytes of every image at the target and hashes them again, those that an earlier run copied too.
	Verify bool
	// Say gets a line for each image.
	Say func(line string)
}

// Result counts what a run did, or would do.
type Result struct {
	Copied   int   // images with their bytes
	Records  int   // images without bytes
	There    int   // images that were at the target already
	Bytes    int64 // copied
	Metadefs int   // namespaces copied
	Failed   int
}

// unfinished marks a record at the target whose migration has not ended.
const unfinished = "bullion_migrating"

// Run copies what is not at the target yet. It goes on after an image that cannot be copied, and fails in the end.
func (m *Migration) Run(ctx context.Context) (r Result, err error) {
	if m.Project == nil {
		m.Project = func(id string) string { return id }
	}
	for _, hidden := range []bool{false, true} {
		q := images.Query{SeesAll: true, Visibility: images.VisibilityAll, Hidden: hidden, Limit: images.MaxPage,
			Sort: []images.SortKey{{Key: "created_at"}}}
		for more := true; more; {
			page, err := m.From.Store.List(ctx, &q)
			if err != nil {
				return r, fmt.Errorf("list the images of the source: %w", err)
			}
			for _, i := range page.Images {
				if err := m.image(ctx, i, &r); err != nil {
					if ctx.Err() != nil {
						return r, ctx.Err()
					}
					r.Failed++
					m.say(i, "failed: "+reason(err))
				}
			}
			q.After, more = page.Next, page.Next != nil
		}
	}
	if err := m.definitions(ctx, &r); err != nil {
		return r, err
	}
	if r.Failed > 0 {
		return r, fmt.Errorf("%d of the things above failed; run the same command again once their cause is gone", r.Failed)
	}
	return r, nil
}

func (m *Migration) say(i *images.Image, text string) {
	m.Say(fmt.Sprintf("%s  %s  (%s)", i.ID, text, i.Name))
}

// reason is the sentence of an error for a person.
func reason(err error) string {
	if known, ok := errors.AsType[*images.Error](err); ok && known.Kind != images.Internal {
		return known.Message
	}
	return err.Error()
}

// image brings one image to the target.
func (m *Migration) image(ctx context.Context, i *images.Image, r *Result) error {
	owner := m.Project(i.Owner)
	there, err := m.To.Store.Position(ctx, i.ID)
	switch {
	case err != nil && images.KindOf(err) != images.NotFound:
		return err
	case err == nil && (there.Status == images.StatusDeleted || there.Status == images.StatusPendingDelete):
		m.say(i, "was deleted at the target, and stays so")
		r.There++
		return nil
	case err == nil && there.Owner != owner:
		return fmt.Errorf("its id is in use at the target, by project %s", there.Owner)
	case err == nil && there.HasData() && i.HasData() && there.HashValue != i.HashValue:
		return errors.New("the target has other bytes under its id")
	case err == nil && there.Properties[unfinished] == "" && (there.HasData() || !i.HasData()):
		if m.Verify && there.HasData() {
			if err := m.verify(ctx, there); err != nil {
				return err
			}
		}
		r.There++
		m.say(i, "is there already")
		return m.members(ctx, i)
	case !i.HasData() && i.Status != images.StatusQueued:
		m.say(i, "is "+string(i.Status)+", and is copied without the bytes that are under way")
	}
	if m.DryRun {
		if i.HasData() {
			r.Copied++
			r.Bytes += i.Blob.Size
			m.say(i, fmt.Sprintf("would be copied, %d bytes", i.Blob.Size))
		} else {
			r.Records++
			m.say(i, "would be copied, without bytes")
		}
		return nil
	}
	if err != nil {
		if err := m.To.Store.Apply(ctx, images.Write{Is: m.begin(i, owner)}); err != nil {
			return err
		}
	}
	if i.HasData() && (there == nil || !there.HasData()) {
		if err := m.bytes(ctx, i, there); err != nil {
			return err
		}
		r.Bytes += i.Blob.Size
	}
	if err := m.finish(ctx, i); err != nil {
		return err
	}
	if err := m.members(ctx, i); err != nil {
		return err
	}
	if i.HasData() {
		r.Copied++
		m.say(i, fmt.Sprintf("copied, %d bytes", i.Blob.Size))
	} else {
		r.Records++
		m.say(i, "copied, without bytes")
	}
	return nil
}

// begin is the record with which the target begins: that of the source without bytes.
func (m *Migration) begin(i *images.Image, owner string) *images.Image {
	c := i.Clone()
	c.Version, c.Owner, c.Status = 0, owner, images.StatusQueued
	c.Size, c.VirtualSize, c.Checksum, c.HashValue, c.Blob, c.Upload, c.Import = nil, nil, "", "", nil, nil, nil
	if c.Properties == nil {
		c.Properties = map[string]string{}
	}
	c.Properties[unfinished] = "yes"
	return c
}

// operator is who does all this.
var operator = images.Caller{UserID: "migration", UserName: "migration", ProjectID: "migration", ProjectName: "migration", Roles: []string{"admin", "member", "reader"}}

// bytes carries the bytes of one image. What an earlier run left half done goes first.
func (m *Migration) bytes(ctx context.Context, i, there *images.Image) error {
	if there != nil && there.Upload != nil {
		if err := m.clear(ctx, there); err != nil {
			return fmt.Errorf("clear away what an earlier run left: %w", err)
		}
	}
	body, err := m.From.Blobs.Range(ctx, *i.Blob, 0, i.Blob.Size)
	if err != nil {
		return fmt.Errorf("read the bytes at the source: %w", err)
	}
	defer body.Close()
	checked := newChecked(body, i)
	if err := m.To.WriteFile(ctx, operator, i.ID, checked, i.Blob.Size); err != nil {
		if checked.wrong != nil {
			return checked.wrong
		}
		return err
	}
	copied, err := m.To.Store.Image(ctx, i.ID)
	if err != nil {
		return err
	}
	if copied.HashValue != i.HashValue || copied.Checksum != i.Checksum || !copied.HasData() {
		return fmt.Errorf("the target has the hash %.16s… and not %.16s…", copied.HashValue, i.HashValue)
	}
	if m.Verify {
		return m.verify(ctx, copied)
	}
	return nil
}

// clear ends the upload of an earlier run, which is dead: the source is open to one run at a time.
func (m *Migration) clear(ctx context.Context, there *images.Image) error {
	if there.Upload.State != images.UploadOpen {
		return m.To.FinishUpload(ctx, there)
	}
	dead, err := images.Change(ctx, m.To.Store, there.ID, images.Actor{}, nil, func(c *images.Image) error {
		if c.Upload == nil || c.Upload.ID != there.Upload.ID || c.Upload.State != images.UploadOpen {
			return images.ErrUnchanged
		}
		c.Upload.ExpiresAt = c.Upload.CreatedAt
		return nil
	})
	if err != nil {
		return err
	}
	return m.To.ExpireUpload(ctx, dead)
}

// finish makes the record at the target what it is at the source.
func (m *Migration) finish(ctx context.Context, i *images.Image) error {
	_, err := images.Change(ctx, m.To.Store, i.ID, images.Actor{}, nil, func(c *images.Image) error {
		if c.Properties[unfinished] == "" {
			return images.ErrUnchanged
		}
		c.Properties = maps.Clone(i.Properties)
		c.UpdatedAt = i.UpdatedAt
		if i.HasData() {
			c.Status, c.VirtualSize = i.Status, i.VirtualSize
		}
		return nil
	})
	return err
}

// members brings those that the target lacks.
func (m *Migration) members(ctx context.Context, i *images.Image) error {
	have, err := m.To.Store.Members(ctx, i.ID)
	if err != nil || m.DryRun {
		return err
	}
	status := map[string]images.MemberStatus{}
	for _, h := range have {
		status[h.ProjectID] = h.Status
	}
	want, err := m.From.Store.Members(ctx, i.ID)
	if err != nil {
		return err
	}
	for _, w := range want {
		w.ProjectID = m.Project(w.ProjectID)
		if _, there := status[w.ProjectID]; there {
			continue // whatever they answered since is newer
		}
		if err := m.To.Store.CreateMember(ctx, w); err != nil {
			return fmt.Errorf("member %s: %w", w.ProjectID, err)
		}
	}
	return nil
}

// verify reads what the target has, and hashes it.
func (m *Migration) verify(ctx context.Context, i *images.Image) error {
	body, err := m.To.Blobs.Range(ctx, *i.Blob, 0, i.Blob.Size)
	if err != nil {
		return fmt.Errorf("read the bytes at the target: %w", err)
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, newChecked(body, i))
	return err
}

// definitions brings the namespaces of metadata that the target lacks.
func (m *Migration) definitions(ctx context.Context, r *Result) error {
	for after := ""; ; {
		list, err := m.From.Metadefs.Namespaces(ctx, after, 100)
		if err != nil {
			return fmt.Errorf("list the definitions of metadata: %w", err)
		}
		if len(list) == 0 {
			return nil
		}
		for _, document := range list {
			var n metadefs.Namespace
			if err := json.Unmarshal(document, &n); err != nil {
				return fmt.Errorf("a definition of metadata cannot be read: %w", err)
			}
			after, n.Owner = n.Name, m.Project(n.Owner)
			if document, err = json.Marshal(n); err != nil {
				return err
			}
			_, _, err := m.ToMetadefs.Namespace(ctx, n.Name)
			switch {
			case err == nil:
				continue
			case images.KindOf(err) != images.NotFound:
				return err
			}
			r.Metadefs++
			if m.DryRun {
				continue
			}
			if err := m.ToMetadefs.PutNamespace(ctx, n.Name, 0, document); err != nil {
				return fmt.Errorf("definitions of metadata %s: %w", n.Name, err)
			}
		}
	}
}

// checked lets the end of a file through only when its hashes are those of the record.
type checked struct {
	r           io.Reader
	md5, sha512 hash.Hash
	both        io.Writer
	want        *images.Image
	wrong       error
}

func newChecked(r io.Reader, want *images.Image) *checked {
	c := &checked{r: r, md5: md5.New(), sha512: sha512.New(), want: want}
	c.both = io.MultiWriter(c.md5, c.sha512)
	return c
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	_, _ = c.both.Write(p[:n]) // a hash does not fail
	if err == io.EOF && (hex.EncodeToString(c.sha512.Sum(nil)) != c.want.HashValue || hex.EncodeToString(c.md5.Sum(nil)) != c.want.Checksum) {
		c.wrong = errors.New("its bytes are not those that were validated: their hashes are not those of the record")
		return n, c.wrong
	}
	return n, err
}
