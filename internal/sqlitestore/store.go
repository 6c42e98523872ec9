package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/ncruces/go-sqlite3"

	"bullion/internal/images"
)

// Store keeps the records in one SQLite file.
type Store struct {
	path    string
	writes  chan *write
	readers chan *conn
	limits  limits
	sync    string // PRAGMA synchronous of the writer

	closing  chan struct{}
	closed   chan struct{} // the writer has ended
	once     sync.Once
	closeErr error
}

var _ images.Store = (*Store)(nil)

// Option changes how a Store is opened.
type Option func(*Store)

// Relaxed lets a write return before it is on the disk: it survives kill -9, but a power cut can take the last seconds, and never the
// database. It is for disks that are slow to flush.
func Relaxed() Option { return func(s *Store) { s.sync = "NORMAL" } }

// readerCount is how many calls can read at once. Each has a connection of about 4 MiB.
const readerCount = 4

// Settings of the connections. Caches are small: the operating system has the file in its own.
const (
	busyTimeout = 10_000 // milliseconds that a call waits for another process
	commonSetup = `PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; `
	writerSetup = `PRAGMA journal_mode = WAL; PRAGMA cache_size = -8192; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; `
	readerSetup = `PRAGMA query_only = ON; PRAGMA cache_size = -2048; `
)

// Open opens the file, makes it when it is not there, and brings its schema up to date. The folder must exist.
func Open(ctx context.Context, path string, options ...Option) (*Store, error) {
	s := &Store{path: path, limits: defaultLimits, sync: "FULL", writes: make(chan *write), closing: make(chan struct{}), closed: make(chan struct{})}
	for _, o := range options {
		o(s)
	}
	if err := private(path); err != nil {
		return nil, err
	}
	writer, err := s.connect(ctx, commonSetup+writerSetup+"PRAGMA synchronous = "+s.sync)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, writer, path); err != nil {
		return nil, errors.Join(err, writer.close())
	}
	s.readers = make(chan *conn, readerCount)
	for range readerCount {
		c, err := s.connect(ctx, commonSetup+readerSetup)
		if err != nil {
			return nil, errors.Join(err, writer.close(), s.closeReaders(len(s.readers)))
		}
		s.readers <- c
	}
	go s.write(writer)
	return s, nil
}

// private makes the files, so that they are their owner's alone from their first moment, or takes the rights of others away.
func private(path string) error {
	dir, err := os.Stat(filepath.Dir(path))
	switch {
	case path == "":
		return errors.New("the path of the database is empty; give a file name")
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder %s for the database does not exist; create it", filepath.Dir(path))
	case err != nil:
		return fmt.Errorf("the folder of the database: %w", err)
	case !dir.IsDir():
		return fmt.Errorf("%s is not a folder; the database %s cannot be in it", filepath.Dir(path), path)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("the database cannot be opened: %w", err)
		}
		if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
			return fmt.Errorf("the database cannot be made private: %w", err)
		}
	}
	return nil
}

func (s *Store) connect(ctx context.Context, setup string) (*conn, error) {
	// An absolute path, since the engine takes what comes after file: for a host otherwise.
	path, err := filepath.Abs(s.path)
	if err != nil {
		return nil, err
	}
	// The engine reads %20 and knows no +.
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: "modeof=" + strings.ReplaceAll(url.QueryEscape(path), "+", "%20")}
	c, err := sqlite3.OpenContext(ctx, u.String())
	if err != nil {
		return nil, s.unreadable(err)
	}
	if err := errors.Join(c.BusyTimeout(busyTimeout*1e6), c.Exec(setup)); err != nil {
		return nil, errors.Join(s.unreadable(err), c.Close())
	}
	return &conn{Conn: c, idle: map[string][]*sqlite3.Stmt{}}, nil
}

func (s *Store) unreadable(err error) error {
	switch {
	case errors.Is(err, sqlite3.NOTADB), errors.Is(err, sqlite3.CORRUPT):
		return fmt.Errorf("%s is not a database, or is damaged; move it away or restore a backup: %w", s.path, err)
	case errors.Is(err, sqlite3.BUSY):
		return fmt.Errorf("%s is locked by another program; stop it and try again: %w", s.path, err)
	}
	return fmt.Errorf("opening the database %s: %w", s.path, err)
}

// errClosed is what calls get after Close.
var errClosed = images.Errorf(images.Unavailable, "The service is shutting down; try again.")

// Close waits for the calls that run, and ends. The last to close the file leaves it without -wal and -shm.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.closing)
		<-s.closed
		s.closeErr = errors.Join(s.closeErr, s.closeReaders(readerCount))
	})
	return s.closeErr
}

func (s *Store) closeReaders(n int) error {
	var errs []error
	for range n {
		errs = append(errs, (<-s.readers).close())
	}
	return errors.Join(errs...)
}

// read gives do a connection that only reads.
func (s *Store) read(ctx context.Context, do func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return errClosed
	default:
	}
	var c *conn
	select {
	case c = <-s.readers:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return errClosed
	}
	defer func() {
		c.SetInterrupt(context.Background())
		s.readers <- c
	}()
	c.SetInterrupt(ctx)
	return explain(ctx, do(c))
}

// snapshot is read for several statements that must see the same moment.
func (s *Store) snapshot(ctx context.Context, do func(*conn) error) error {
	return s.read(ctx, func(c *conn) error {
		if err := c.exec("BEGIN"); err != nil {
			return err
		}
		err := do(c)
		c.SetInterrupt(context.Background()) // the end must not fail
		return errors.Join(err, c.exec("COMMIT"))
	})
}
