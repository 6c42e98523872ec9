package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Source is a file that is to be sent. It must stay as it was when it was opened until the last part has been sent.
type Source struct {
	path string
	file *os.File
	info os.FileInfo
}

// OpenSource opens a file and checks that it can be sent. Its errors are sentences for the user.
func OpenSource(path string) (*Source, error) {
	// A pipe must not be opened before it is known to be one: opening waits for a writer.
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s; check the path", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("file %s may not be looked at; check the permissions of its folder", path)
	case err != nil:
		return nil, fmt.Errorf("look at file %s: %w", path, err)
	case info.IsDir():
		return nil, fmt.Errorf("path %s is a directory; name the image file in it", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("path %s is not a regular file, so its size is not known and it cannot be read again after a failure; copy it to a file and upload that", path)
	case info.Size() == 0:
		return nil, fmt.Errorf("file %s is empty; an image has at least one byte", path)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("file %s may not be read by you; change its permissions or run as its owner", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open file %s: %w", path, err)
	}
	if info, err = file.Stat(); err != nil {
		file.Close()
		return nil, fmt.Errorf("look at file %s: %w", path, err)
	}
	return &Source{path, file, info}, nil
}

// Close releases the file.
func (s *Source) Close() error { return s.file.Close() }

// Path is the path as it was given.
func (s *Source) Path() string { return s.path }

// Size is the number of bytes.
func (s *Source) Size() int64 { return s.info.Size() }

// ModTime is when the file was last changed.
func (s *Source) ModTime() time.Time { return s.info.ModTime() }

// Is says whether info is of this very file.
func (s *Source) Is(info os.FileInfo) bool { return os.SameFile(s.info, info) }

// ReadAt reads as of io.ReaderAt.
func (s *Source) ReadAt(p []byte, off int64) (int, error) { return s.file.ReadAt(p, off) }

// Changed is the error of a file that is no longer what it was when its upload began.
type Changed struct {
	Path string
	What string // what happened to it: "grew from … to … bytes"
	// Aborted says that the upload was given up and its bytes are gone.
	Aborted bool
}

func (e *Changed) Error() string {
	return fmt.Sprintf("file %s %s while it was being uploaded", e.Path, e.What)
}

// Check returns a *Changed when the file is not what it was.
func (s *Source) Check() error {
	now, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Changed{Path: s.path, What: "was removed"}
	}
	if err != nil {
		return fmt.Errorf("look at file %s: %w", s.path, err)
	}
	return s.compare(now)
}

func (s *Source) compare(now os.FileInfo) error {
	was, is := s.info.Size(), now.Size()
	what := ""
	switch {
	case !os.SameFile(s.info, now):
		what = "was replaced by another file"
	case is > was:
		what = fmt.Sprintf("grew from %d to %d bytes", was, is)
	case is < was:
		what = fmt.Sprintf("shrank from %d to %d bytes", was, is)
	case !now.ModTime().Equal(s.info.ModTime()):
		what = "was written to"
	default:
		return nil
	}
	return &Changed{Path: s.path, What: what}
}

// section is a run of bytes of a Source as the body of one request. It has its own position in the file, because an aborted
// request may go on reading for a moment after the next one began.
//
// It is exactly what net looks for to use sendfile: a reader that is a syscall.Conn. It must therefore have no WriteTo, and find out by the
// position of the file how much is left, since sendfile passes Read by.
type section struct {
	file       *os.File
	start, end int64
	last       atomic.Int64 // position seen last, for when the file is closed
}

// section opens n bytes from off.
func (s *Source) section(off, n int64) (*section, error) {
	file, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Changed{Path: s.path, What: "was removed"}
	}
	if err != nil {
		return nil, fmt.Errorf("open file %s again: %w", s.path, err)
	}
	info, err := file.Stat()
	if err == nil {
		err = s.compare(info)
	}
	if err == nil {
		_, err = file.Seek(off, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	sec := &section{file: file, start: off, end: off + n}
	sec.last.Store(off)
	return sec, nil
}

func (s *section) Read(p []byte) (int, error) {
	at, err := s.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	left := s.end - at
	if left <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > left {
		p = p[:left]
	}
	return s.file.Read(p)
}

// SyscallConn lets the kernel read the file.
func (s *section) SyscallConn() (syscall.RawConn, error) { return s.file.SyscallConn() }

func (s *section) Close() error {
	s.position()
	return s.file.Close()
}

// position is how many bytes have been read, by whomever.
func (s *section) position() int64 {
	if at, err := s.file.Seek(0, io.SeekCurrent); err == nil {
		s.last.Store(at)
	}
	return min(s.last.Load(), s.end) - s.start
}

var _ io.ReadCloser = (*section)(nil)
var _ syscall.Conn = (*section)(nil)
