// Package pending remembers on this machine which file each unfinished upload is of, so that it can be resumed with no argument after Ctrl-C, a crash or a reboot.
//
// There is one JSON file for each upload, $XDG_STATE_HOME/bullion/uploads/<upload id>.json (by default below ~/.local/state), readable by the user
// alone. It holds no secret and no progress: what S3 has is the truth about that. Losing it costs the convenience only.
package pending

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Upload is what is remembered.
type Upload struct {
	ID        string    `json:"id"`
	ImageID   string    `json:"image_id"`
	ImageName string    `json:"image_name"`
	Endpoint  string    `json:"endpoint"` // of the image service
	Cloud     string    `json:"cloud"`    // name in clouds.yaml; "" when OS_* variables were used
	Path      string    `json:"path"`     // absolute
	Size      int64     `json:"size"`     // bytes
	ModTime   time.Time `json:"mtime"`
	CreatedAt time.Time `json:"created_at"`
}

// Dir is a folder of remembered uploads.
type Dir string

// Default is the user's folder.
func Default(getenv func(string) string) (Dir, error) {
	state := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // the specification says to ignore a relative one
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find your home folder to remember uploads in; set XDG_STATE_HOME: %w", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	return Dir(filepath.Join(state, "bullion", "uploads")), nil
}

func (d Dir) path(id string) (string, error) {
	if id == "" || id != filepath.Base(id) || strings.HasPrefix(id, ".") {
		return "", fmt.Errorf("upload id %q cannot be a file name", id)
	}
	return filepath.Join(string(d), id+".json"), nil
}

// Save remembers an upload. The file is there whole or not at all.
func (d Dir) Save(u Upload) error {
	path, err := d.path(u.ID)
	if err != nil {
		return err
	}
	doc, err := json.MarshalIndent(u, "", "  ")
	if err != nil {
		return fmt.Errorf("remember upload %s: %w", u.ID, err)
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("remember upload %s: %w", u.ID, err)
	}
	file, err := os.CreateTemp(string(d), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("remember upload %s: %w", u.ID, err)
	}
	defer os.Remove(file.Name()) // does nothing once it is renamed
	_, err = file.Write(append(doc, '\n'))
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("remember upload %s: %w", u.ID, err)
	}
	return nil
}

// Forget removes an upload; it is no error when it is not remembered.
func (d Dir) Forget(id string) error {
	path, err := d.path(id)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget upload %s: %w", id, err)
	}
	return nil
}

// List is what is remembered, oldest first. A file that cannot be read as an upload is an error that names it, beside all that can.
func (d Dir) List() ([]Upload, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the remembered uploads: %w", err)
	}
	var list []Upload
	var bad []error
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(id, ".") {
			continue
		}
		path := filepath.Join(string(d), e.Name())
		doc, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // forgotten at this moment
		}
		var u Upload
		if err == nil {
			err = json.Unmarshal(doc, &u)
		}
		if err == nil && (u.ID != id || u.ImageID == "" || u.Path == "") {
			err = errors.New("it does not describe an upload")
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s cannot be read; delete it if you no longer need it: %w", path, err))
			continue
		}
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b Upload) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
	return list, errors.Join(bad...)
}
