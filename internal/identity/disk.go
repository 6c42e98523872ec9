//go:build unix

package identity

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// lockFile takes a lock that other processes respect, until unlock is called. The kernel
// gives it back when a process dies.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// sameFile says whether a file that was read is still the one on disk. Every write
// makes a new file, so its inode tells; time and size guard against an inode that was used again.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// checkMode refuses a file with secrets that others on the machine may read.
func checkMode(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (mode %04o): run  chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return nil
}
