package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"bullion/internal/images"
)

var (
	insertImage = "INSERT INTO images (id, " + strings.Join(columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(columns)) + ")"
	selectImage = "SELECT n, " + strings.Join(columns[:len(columns)-1], ", ") + " FROM images WHERE id = ?" // but the record
)

// Apply makes one write.
func (s *Store) Apply(ctx context.Context, w images.Write) error {
	p, err := prepare(w)
	if err != nil {
		return err
	}
	if err := s.apply(ctx, p.run); err != nil {
		return err
	}
	w.Is.Version = p.version
	return nil
}

// prepared is a Write with all that can be worked out before the writer's turn. It shares nothing that changes with the caller.
type prepared struct {
	id      string
	was     int64 // the version that must be there, 0 for none
	version int64 // the version that is written
	deleted bool
	values  []any
	marks   []int64
	usage   images.Usage
	owner   string
	limit   *images.Usage
	event   string
}

func prepare(w images.Write) (*prepared, error) {
	p := &prepared{id: w.Is.ID, version: 1, deleted: w.Is.Status == images.StatusDeleted, owner: w.Is.Owner, usage: images.UsageOf(w.Is)}
	if w.Was != nil {
		if w.Was.ID != w.Is.ID {
			return nil, fmt.Errorf("a write of image %s over image %s", w.Is.ID, w.Was.ID)
		}
		p.was, p.version = w.Was.Version, w.Was.Version+1
	} else if p.deleted {
		return nil, fmt.Errorf("image %s would be created as a tombstone", w.Is.ID)
	}
	kept := w.Is
	if p.deleted {
		kept = tombstone(w.Is)
	}
	text, err := encode(kept, p.version)
	if err != nil {
		return nil, err
	}
	p.values, p.marks = values(kept, p.version, text), marks(kept)
	if w.Limit != nil {
		limit := *w.Limit
		p.limit = &limit
	}
	if w.Event != nil {
		e := *w.Event
		e.ImageID, e.Seq, e.At = w.Is.ID, p.version, e.At.UTC()
		text, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encoding an event of image %s: %w", w.Is.ID, err)
		}
		p.event = string(text)
	}
	return p, nil
}

// run is the write, in the writer's transaction.
func (p *prepared) run(c *conn) error {
	n, was, err := p.current(c)
	if err != nil {
		return err
	}
	if p.was == 0 {
		if n != 0 {
			return p.used()
		}
		if buried, err := c.one(func(*rows) {}, "SELECT 1 FROM tombstones WHERE id = ?", p.id); err != nil {
			return err
		} else if buried {
			return p.used()
		}
	} else if n == 0 || was.value("version") != p.was {
		return images.ErrStale
	}
	if err := p.account(c, was); err != nil {
		return err
	}
	switch {
	case p.deleted:
		err = p.delete(c, n)
	case p.was == 0:
		err = p.insert(c)
	default:
		err = p.update(c, n, was)
	}
	if err != nil || p.event == "" {
		return err
	}
	return c.exec("INSERT INTO events (image_id, seq, event) VALUES (?, ?, ?)", p.id, p.version, p.event)
}

func (p *prepared) used() error {
	return images.Errorf(images.Conflict, "The id %s is or was the id of an image; choose another one, or leave it out.", p.id)
}

// stored are the values of the columns in the database; nil when there is no record.
type stored []any

func (s stored) value(column string) any { return s[slices.Index(columns, column)] }

// current reads the columns of the record, n 0 when there is none.
func (p *prepared) current(c *conn) (n int64, was stored, err error) {
	_, err = c.one(func(r *rows) {
		n, was = r.ColumnInt64(0), make(stored, len(columns))
		for k := range columns[:len(columns)-1] {
			switch p.values[k].(type) {
			case string:
				was[k] = r.ColumnText(k + 1)
			default:
				if r.ColumnType(k+1) == null {
					was[k] = nil
				} else {
					was[k] = r.ColumnInt64(k + 1)
				}
			}
		}
	}, selectImage, p.id)
	return n, was, err
}

// account changes the usage of the owners. What the record used is read from the database, not taken from the caller.
func (p *prepared) account(c *conn, was stored) error {
	deltas := map[string]images.Usage{}
	if was != nil {
		owner := was.value("owner").(string)
		deltas[owner] = images.Usage{}.Sub(images.Usage{Images: 1, Bytes: was.value("bytes").(int64), InFlight: was.value("in_flight").(int64), Uploads: was.value("uploads").(int64)})
	}
	deltas[p.owner] = deltas[p.owner].Add(p.usage)
	if p.limit != nil {
		now, err := usage(c, p.owner)
		if err != nil {
			return err
		}
		if err := p.limit.Check(now.Add(deltas[p.owner]), deltas[p.owner]); err != nil {
			return err
		}
	}
	for owner, d := range deltas {
		if d == (images.Usage{}) {
			continue
		}
		if err := c.exec(`INSERT INTO usage (project, images, bytes, in_flight, uploads) VALUES (?, ?, ?, ?, ?) ON CONFLICT (project) DO UPDATE SET
			images = images + excluded.images, bytes = bytes + excluded.bytes, in_flight = in_flight + excluded.in_flight, uploads = uploads + excluded.uploads`,
			owner, d.Images, d.Bytes, d.InFlight, d.Uploads); err != nil {
			return err
		}
		if d.Images < 0 {
			if err := c.exec("DELETE FROM usage WHERE project = ? AND images = 0", owner); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *prepared) insert(c *conn) error {
	if err := c.exec(insertImage, append([]any{p.id}, p.values...)...); err != nil {
		return err
	}
	return addMarks(c, c.LastInsertRowID(), p.marks)
}

// update writes the columns that changed and no others: an index is only touched when one of its columns is written.
func (p *prepared) update(c *conn, n int64, was stored) error {
	var sets []string
	var args []any
	last := len(columns) - 1
	for k, column := range columns {
		if k == last || p.values[k] != was[k] {
			sets, args = append(sets, column+" = ?"), append(args, p.values[k])
		}
	}
	if err := c.exec("UPDATE images SET "+strings.Join(sets, ", ")+" WHERE n = ?", append(args, n)...); err != nil {
		return err
	}
	if changed(p.values, was, "visibility") || changed(p.values, was, "shelf") || changed(p.values, was, "created_at") {
		at := stored(p.values)
		if err := c.exec("UPDATE members SET shelf = ?, image_created_at = ? WHERE image = ?", memberShelf(at.value("visibility"), at.value("shelf")), at.value("created_at"), n); err != nil {
			return err
		}
	}
	return changeMarks(c, n, p.marks)
}

func changed(is, was stored, column string) bool { return is.value(column) != was.value(column) }

// memberShelf is the shelf in table members.
func memberShelf(visibility, shelf any) any {
	if visibility != string(images.Shared) {
		return int64(shelfNone)
	}
	return shelf
}

func changeMarks(c *conn, n int64, want []int64) error {
	var have []int64
	if err := c.all(func(r *rows) error { have = append(have, r.ColumnInt64(0)); return nil }, "SELECT mark FROM marks WHERE image = ?", n); err != nil {
		return err
	}
	var more []int64
	for _, m := range want {
		if !slices.Contains(have, m) {
			more = append(more, m)
		}
	}
	for _, m := range have {
		if _, keep := slices.BinarySearch(want, m); !keep {
			if err := c.exec("DELETE FROM marks WHERE image = ? AND mark = ?", n, m); err != nil {
				return err
			}
		}
	}
	return addMarks(c, n, more)
}

func addMarks(c *conn, n int64, marks []int64) error {
	for _, m := range marks {
		if err := c.exec("INSERT INTO marks (image, mark) VALUES (?, ?)", n, m); err != nil {
			return err
		}
	}
	return nil
}

// delete removes the record, with its members and marks, which follow by their foreign keys, and leaves the tombstone.
func (p *prepared) delete(c *conn, n int64) error {
	if err := c.exec("INSERT INTO tombstones (id, record) VALUES (?, ?)", p.id, stored(p.values).value("record")); err != nil {
		return err
	}
	return c.exec("DELETE FROM images WHERE n = ?", n)
}
