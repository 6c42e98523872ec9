package sqlitestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"bullion/internal/images"
)

// List returns a page: the merge of the branches of the query.
func (s *Store) List(ctx context.Context, q *images.Query) (page images.Page, err error) {
	if q.Limit < 1 {
		return images.Page{}, ctx.Err()
	}
	err = s.snapshot(ctx, func(c *conn) error {
		page, err = list(c, q, s.limits)
		return err
	})
	if err != nil {
		return images.Page{}, err
	}
	return page, nil
}

func list(c *conn, q *images.Query, l limits) (page images.Page, err error) {
	parts := branches(q)
	cursors := make([]*cursor, 0, len(parts))
	defer func() {
		for _, k := range cursors {
			err = errors.Join(err, k.close())
		}
	}()
	for _, b := range parts {
		k, some, err := open(c, b, l, max(1, l.walk/len(parts)))
		if err != nil {
			return images.Page{}, err
		}
		if some {
			cursors = append(cursors, k)
		}
	}
	for {
		var first *cursor
		for _, k := range cursors {
			if err := k.advance(); err != nil {
				return images.Page{}, err
			}
			if k.head != nil && (first == nil || k.before(first)) {
				first = k
			}
		}
		switch {
		case first == nil:
			return page, nil
		case len(page.Images) == q.Limit:
			page.Next = page.Images[q.Limit-1].Clone()
			return page, nil
		case first.cut:
			page.Next = first.head
			return page, nil
		}
		page.Images = append(page.Images, first.head)
		first.head = nil
	}
}

// cursor reads a branch in order.
type cursor struct {
	c      *conn
	b      *branch
	how    reading
	rows   *rows
	read   int           // rows
	last   *images.Image // of the last row, if it was fetched
	misses int           // how many more it may read
	ended  bool

	head *images.Image // the next image that belongs in the list, nil before advance and at the end
	cut  bool          // head is only where the reading stopped
}

// before says whether the head of k comes before that of the other. One branch may stop where another has an image of the list: that comes first.
func (k *cursor) before(other *cursor) bool {
	c := k.b.query.Compare(k.head, other.head)
	return c < 0 || c == 0 && other.cut
}

func open(c *conn, b *branch, l limits, misses int) (*cursor, bool, error) {
	p, some, err := b.plan(c, l)
	if err != nil || !some {
		return nil, false, err
	}
	r, err := c.query(p.text, p.args...)
	if err != nil {
		return nil, false, err
	}
	return &cursor{c: c, b: b, how: p, rows: r, misses: misses}, true, nil
}

func (k *cursor) close() error {
	if k.rows == nil {
		return nil
	}
	return k.rows.close()
}

// advance finds the next head if there is none.
func (k *cursor) advance() error {
	for k.head == nil && !k.ended {
		if !k.rows.Step() {
			if k.ended = true; k.how.limit > 0 && k.read == k.how.limit {
				k.head, k.cut = k.last, true
			}
			return k.rows.Err()
		}
		k.read++
		i, matches, err := k.image()
		if err != nil {
			return err
		}
		if k.last = i; matches {
			k.head = i
			return nil
		}
		if k.misses--; k.misses > 0 {
			continue
		}
		// The end of the reading is a position for others to go on from, so it must be one that the project
		// can see.
		if k.rows.ColumnType(1) == null {
			continue
		}
		if i == nil {
			if i, err = k.fetch(); err != nil {
				return err
			}
		}
		k.head, k.cut, k.ended = i, true, true
	}
	return nil
}

// image is the record of the row, as far as the row has one, and whether it belongs in the list.
func (k *cursor) image() (i *images.Image, matches bool, err error) {
	switch k.rows.ColumnType(1) {
	case sqlite3.TEXT:
		i, err = decode(k.rows.ColumnRawText(1))
	case sqlite3.INTEGER:
		if k.rows.ColumnInt(1) == 0 {
			return nil, false, nil
		}
		i, err = k.fetch()
	default:
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return i, k.b.query.Matches(i) && k.b.query.In(k.b.scope, i, k.b.membership()), nil
}

// membership is the entry that images of the branch have.
func (b *branch) membership() *images.Member {
	if b.member == "" {
		return nil
	}
	return &images.Member{ProjectID: b.query.ProjectID, Status: b.member}
}

func (k *cursor) fetch() (i *images.Image, err error) {
	n := k.rows.ColumnInt64(0)
	there, err2 := k.c.one(func(r *rows) { i, err = decode(r.ColumnRawText(0)) }, "SELECT record FROM images WHERE n = ?", n)
	if err2 == nil && !there {
		err2 = fmt.Errorf("record %d is in an index and not in the table; check the database", n)
	}
	return i, errors.Join(err, err2)
}
