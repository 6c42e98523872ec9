package sqlitestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"bullion/internal/images"
)

// conn is one connection with the statements that it has compiled. One goroutine uses it at a time.
type conn struct {
	*sqlite3.Conn
	idle  map[string][]*sqlite3.Stmt // by their text
	count int
}

// maxStatements bounds the compiled statements that a connection keeps. The texts of lists vary with their filters.
const maxStatements = 120

// rows is a statement that runs. Close it before the connection is given back.
type rows struct {
	*sqlite3.Stmt
	c    *conn
	text string
}

// query binds the arguments and returns the statement before its first row. Arguments are string, []byte, int64, int, bool and nil.
func (c *conn) query(text string, args ...any) (*rows, error) {
	stmt, err := c.prepared(text)
	if err != nil {
		return nil, err
	}
	r := &rows{stmt, c, text}
	for n, arg := range args {
		switch v := arg.(type) {
		case nil:
			err = stmt.BindNull(n + 1)
		case string:
			err = stmt.BindText(n+1, v)
		case []byte:
			err = stmt.BindBlob(n+1, v)
		case int64:
			err = stmt.BindInt64(n+1, v)
		case int:
			err = stmt.BindInt(n+1, v)
		case bool:
			err = stmt.BindBool(n+1, v)
		default:
			err = fmt.Errorf("argument %d is a %T", n+1, arg)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("binding: %w", err), r.close())
		}
	}
	return r, nil
}

func (c *conn) prepared(text string) (*sqlite3.Stmt, error) {
	if idle := c.idle[text]; len(idle) > 0 {
		stmt := idle[len(idle)-1]
		c.idle[text] = idle[:len(idle)-1]
		c.count--
		return stmt, nil
	}
	stmt, _, err := c.PrepareFlags(text, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, fmt.Errorf("compiling %q: %w", text, err)
	}
	return stmt, nil
}

// close gives the statement back and says what went wrong while it ran.
func (r *rows) close() error {
	err := r.Err()
	if resetErr := r.Reset(); err == nil {
		err = resetErr
	}
	if err == nil {
		err = r.ClearBindings()
	}
	if r.c.count >= maxStatements {
		r.c.forget()
	}
	r.c.idle[r.text] = append(r.c.idle[r.text], r.Stmt)
	r.c.count++
	return err
}

// forget frees the statements that do not run.
func (c *conn) forget() {
	for text, idle := range c.idle {
		for _, stmt := range idle {
			stmt.Close() //nolint:errcheck // it repeats the error of the last run
		}
		delete(c.idle, text)
	}
	c.count = 0
}

// exec runs a statement to its end.
func (c *conn) exec(text string, args ...any) error {
	r, err := c.query(text, args...)
	if err != nil {
		return err
	}
	for r.Step() {
	}
	return r.close()
}

// one calls scan with the first row and says whether there was one.
func (c *conn) one(scan func(*rows), text string, args ...any) (bool, error) {
	r, err := c.query(text, args...)
	if err != nil {
		return false, err
	}
	found := r.Step()
	if found {
		scan(r)
	}
	return found, r.close()
}

// all calls scan with every row until it fails.
func (c *conn) all(scan func(*rows) error, text string, args ...any) error {
	r, err := c.query(text, args...)
	if err != nil {
		return err
	}
	for r.Step() {
		if err := scan(r); err != nil {
			return errors.Join(err, r.close())
		}
	}
	return r.close()
}

func (c *conn) close() error {
	c.SetInterrupt(context.Background())
	c.forget()
	return c.Close()
}

// explain gives errors of the engine the kind that callers understand.
func explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sqlite3.INTERRUPT) && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, sqlite3.BUSY):
		return images.Wrap(images.Unavailable, err, "The database is busy with another program; try again.")
	case errors.Is(err, sqlite3.FULL):
		return images.Wrap(images.Unavailable, err, "The disk that holds the records is full; an operator must free some space.")
	case errors.Is(err, sqlite3.READONLY), errors.Is(err, sqlite3.IOERR), errors.Is(err, sqlite3.CANTOPEN): // IOERR also of a log that finds no room
		return images.Wrap(images.Unavailable, err, "The disk that holds the records is full or cannot be written; an operator must look at it.")
	}
	return err
}
