//go:build !ui

package web

import (
	"embed"
	"io/fs"
)

//go:embed index.html.none
var none embed.FS

// files stands in for a dashboard that was not built.
func files() fs.FS { return notBuilt{none} }

// notBuilt shows the one page under the name that every dashboard has.
type notBuilt struct{ fs.FS }

func (n notBuilt) Open(name string) (fs.File, error) {
	if name != "index.html" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return n.FS.Open("index.html.none")
}
