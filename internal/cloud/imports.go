package cloud

import (
	"fmt"
	"strings"
	"time"

	"bullion/internal/fetch"
	"bullion/internal/images"
	"bullion/internal/importer"
)

// openImports reads from where images may be fetched. The function importer does the fetching; where it is not deployed BULLION_IMPORTS stays away, and imports from
// addresses are refused.
func (c *Cloud) openImports() error {
	for text := range strings.SplitSeq(c.Getenv("BULLION_IMPORT_ALLOW"), ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		e, err := fetch.ParseException(text)
		if err != nil {
			return fmt.Errorf("BULLION_IMPORT_ALLOW: %w", err)
		}
		c.sources.Except = append(c.sources.Except, e)
	}
	switch text := c.Getenv("BULLION_IMPORTS"); text {
	case "", "off":
	case "on":
		c.Images.CheckSource = func(uri string) error {
			_, err := c.sources.CheckURL(uri)
			return err
		}
	default:
		return fmt.Errorf("BULLION_IMPORTS %q is not on or off", text)
	}
	return nil
}

// Importer fetches images from addresses. What it fetched is examined by itself, as far as its time goes.
func (c *Cloud) Importer() *importer.Importer {
	c.Images.Examine = c.Validator().Run
	return &importer.Importer{Images: c.Images, Client: fetch.New(c.sources, fetch.Options{}), Log: c.Log, NewID: images.NewID, Now: time.Now}
}
