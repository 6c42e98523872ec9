package s3engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/versity/versitygw/backend/posix"
)

// sweep deletes what a process that was killed left behind. Nothing else uses the directory: the lock is held.
func (v *vault) sweep() error {
	entries, err := os.ReadDir(v.staging)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, temporary := range []string{"new-", "old-", "put-"} {
			if strings.HasPrefix(e.Name(), temporary) {
				if err := os.RemoveAll(filepath.Join(v.staging, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	buckets, err := os.ReadDir(v.root)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		// Temporary files of posix, and multipart uploads of posix, which this package does not begin (G2, G13).
		tmp := filepath.Join(v.root, b.Name(), posix.MetaTmpDir)
		files, err := os.ReadDir(tmp)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := os.RemoveAll(filepath.Join(tmp, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// abandon aborts uploads that were begun too long ago, now and every hour.
func (v *vault) abandon() {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		var old []*upload
		v.uploadsMu.Lock()
		for _, u := range v.uploads {
			if time.Since(u.spec.Initiated) > v.cfg.AbandonAfter {
				old = append(old, u)
			}
		}
		v.uploadsMu.Unlock()
		for _, u := range old {
			if err := u.abort(); err != nil && !isS3(err) {
				v.cfg.Log.Error("an abandoned upload cannot be removed", "key", u.spec.Key, "upload", u.spec.ID, "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-v.life.Done():
			return
		}
	}
}
