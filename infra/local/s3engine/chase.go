package s3engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
)

// final is how an upload ended: the object that it became, and the parts of which that is made.
type final struct {
	job  *job
	file *os.File // the object
	size int64
	made []string // the ETags of its parts in order, if these are the parts 1, 2, 3 …; else nil
}

// chase hashes the parts of an upload in order, each as soon as it and all before it have arrived, and the
// rest when the upload is complete. The bytes come from the page cache: they were written a moment ago.
func (u *upload) chase() {
	defer u.cancel() // nobody else needs the context after the end of the upload
	p, made := newPrefix(), []string(nil)
	again := func() {
		p.close()
		p, made = newPrefix(), nil
	}
	var wait bool // nothing more to chase until the upload is complete
	for {
		n, fin, changed := u.next(int32(len(made)+1), wait)
		switch {
		case fin != nil:
			if !slices.Equal(made, fin.made[:min(len(made), len(fin.made))]) {
				again() // a part was replaced after it was hashed
			}
			u.v.conclude(fin.job, p, fin.file, fin.size, nil)
			_ = fin.file.Close()
			return
		case n == nil:
			p.close()
			return // aborted, or the server stops
		}
		crc, err := u.hashPart(p, *n)
		switch {
		case err == nil && crc == n.CRC:
			p.crc, p.size = crcJoiner{}.join(p.crc, crc, n.Size), p.size+n.Size
			made = append(made, n.etag())
		case errors.Is(err, fs.ErrNotExist): // it was replaced, or the upload completed, before it could be opened
			select {
			case <-changed:
			case <-u.ctx.Done():
			}
		case errors.Is(err, context.Canceled): // aborted, or the server stops
			again()
		case err != nil:
			u.v.cfg.Log.Error("a part cannot be read; it will be tried again when the upload is complete",
				"key", u.spec.Key, "part", n.Number, "error", err)
			again()
			wait = true
		default:
			u.damaged(*n)
			again()
		}
	}
}

// next waits for part n, or for the end of the upload. Both are nil when the upload was aborted. What it returns
// holds until changed is closed.
func (u *upload) next(n int32, finalOnly bool) (p *part, fin *final, changed chan struct{}) {
	for {
		u.mu.Lock()
		found, ok := u.parts[n]
		fin, changed = u.final, u.changed
		u.mu.Unlock()
		switch {
		case fin != nil:
			return nil, fin, changed
		case u.ctx.Err() != nil:
			return nil, nil, changed
		case ok && !finalOnly:
			return &found, nil, changed
		}
		select {
		case <-changed:
		case <-u.ctx.Done():
		}
	}
}

func (u *upload) hashPart(p *prefix, n part) (uint64, error) {
	name, off := u.place(n)
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return u.v.hash(u.ctx, p.digester, f, off, n.Size)
}

// damaged handles a part whose bytes on the disk are not those that were received.
func (u *upload) damaged(p part) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.final != nil || u.parts[p.Number] != p {
		return // replaced or completed meanwhile; the final pass decides
	}
	u.v.cfg.Log.Error("a part is damaged on the disk; the client has to send it again", "key", u.spec.Key, "part", p.Number)
	if err := u.lose(p); err != nil {
		u.v.cfg.Log.Error("the journal of an upload cannot be written", "key", u.spec.Key, "error", err)
	}
}

// startChaser starts the chaser unless it runs already; hold mu.
func (u *upload) startChaser() {
	if !u.chased {
		u.chased = true
		u.v.work.Go(u.chase)
	}
}
