package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Backup writes a copy of the database as it is at one moment, while others write. The copy is whole and on the disk when Backup returns, and is not
// there when it fails. It refuses to overwrite a file.
func (s *Store) Backup(ctx context.Context, path string) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("the backup %s exists already; move it away or choose another name", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the backup: %w", err)
	}
	part, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // mode 0600
	if err != nil {
		return fmt.Errorf("the backup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("the backup %s: %w", path, err), os.Remove(part.Name()))
		}
	}()
	err = s.copyTo(ctx, part.Name())
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	if err := os.Link(part.Name(), path); err != nil { // unlike a rename, it does not overwrite
		return err
	}
	if err := os.Remove(part.Name()); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// copyTo copies on a connection of its own: it may take long, and those of read only read.
func (s *Store) copyTo(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := s.connect(ctx, commonSetup)
	if err != nil {
		return err
	}
	c.SetInterrupt(ctx)
	err = c.exec("VACUUM INTO ?", path) // which takes an empty file as none
	return errors.Join(explain(ctx, err), c.close())
}
