package host

import (
	"context"
	"fmt"
	"os"
	"sync"

	"bullion/internal/fetch"
	"bullion/internal/images"
	"bullion/internal/importer"
)

const (
	importers      = 2  // fetches at once
	waitingImports = 64 // handed over and not begun; others come with the next round of scrub
)

// openImports makes the worker that fetches images from addresses and from other regions.
func (h *host) openImports() error {
	var rules fetch.Rules
	for _, text := range h.ImportAllow {
		e, err := fetch.ParseException(text)
		if err != nil {
			return fmt.Errorf("--import-allow: %w", err)
		}
		rules.Except = append(rules.Except, e)
	}
	h.images.CheckSource = func(uri string) error {
		_, err := rules.CheckURL(uri)
		return err
	}
	var regions []importer.Region
	if h.Regions != "" {
		text, err := os.ReadFile(h.Regions)
		if err != nil {
			return fmt.Errorf("read the regions: %w", err)
		}
		if regions, err = importer.ParseRegions(text); err != nil {
			return fmt.Errorf("--regions %s: %w", h.Regions, err)
		}
		h.images.FromRegions = len(regions) > 0
	}
	h.importer = &importer.Importer{Images: h.images, Client: fetch.New(rules, fetch.Options{}), Log: h.log, NewID: images.NewID, Now: h.images.Now,
		Regions: func(context.Context) ([]importer.Region, error) { return regions, nil }}
	h.imports = make(chan string, waitingImports)
	h.scrubber.Fetch = func(_ context.Context, imageID string) {
		select {
		case h.imports <- imageID:
		default:
		}
	}
	return nil
}

// takeImports fetches what scrub hands over.
func (h *host) takeImports(ctx context.Context) {
	var workers sync.WaitGroup
	for range importers {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case id := <-h.imports:
					if err := h.importer.Run(ctx, id); err != nil {
						h.warn(ctx, "an import will be tried again", err)
					}
				}
			}
		})
	}
	workers.Wait()
}
