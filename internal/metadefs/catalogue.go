package metadefs

import (
	"embed"
	"encoding/json"
	"path"
	"time"

	"bullion/internal/images"
)

//go:embed catalogue/*.json
var catalogueFiles embed.FS

// catalogue are the namespaces that everyone has, in the order of their files. They are never changed.
var catalogue = loadCatalogue()

func loadCatalogue() []*Namespace {
	entries, err := catalogueFiles.ReadDir("catalogue")
	if err != nil {
		panic(err) // embedded
	}
	var list []*Namespace
	for _, e := range entries {
		text, err := catalogueFiles.ReadFile(path.Join("catalogue", e.Name()))
		if err != nil {
			panic(err)
		}
		n := &Namespace{}
		if err := json.Unmarshal(text, n); err != nil {
			panic(e.Name() + ": " + err.Error()) // a test loads them
		}
		written := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
		n.Visibility, n.Protected, n.CreatedAt, n.UpdatedAt = images.Public, true, written, written
		for at := range n.ResourceTypes {
			n.ResourceTypes[at].CreatedAt, n.ResourceTypes[at].UpdatedAt = written, written
		}
		if err := n.check(); err != nil {
			panic(e.Name() + ": " + err.Error())
		}
		list = append(list, n)
	}
	return list
}

func inCatalogue(name string) *Namespace {
	for _, n := range catalogue {
		if n.Name == name {
			return n
		}
	}
	return nil
}
