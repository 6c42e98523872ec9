package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"bullion/internal/fetch"
	"bullion/internal/images"
	"bullion/internal/importer"
)

// openImports reads from where images may be fetched, and by which function. Where none is deployed, imports from addresses are refused.
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
	if c.Getenv("BULLION_IMPORTER") == "" {
		return nil
	}
	c.Images.CheckSource = func(uri string) error {
		_, err := c.sources.CheckURL(uri)
		return err
	}
	c.Images.FromRegions = c.Getenv("BULLION_IMPORT_REGIONS") != ""
	return nil
}

// wake starts what is due for an image now. What was staged came within a request, so it is examined within one too. Where it fails, the next round of scrub does it.
func (c *Cloud) wake(ctx context.Context, i *images.Image) {
	if i.Fetching() {
		c.startImport(ctx, i.ID)
		return
	}
	if u := i.Upload; c.Images.Examine != nil && u != nil && u.State == images.UploadReceived {
		if err := c.Images.Examine(ctx, i.ID, u.ID, nil); err != nil && !errors.Is(err, images.ErrBusy) {
			c.Log.LogAttrs(ctx, slog.LevelError, "staged bytes wait for the next round of scrub", slog.String("image", i.ID), slog.String("error", err.Error()))
		}
	}
}

// Import is the event of the function importer: fetch the bytes of one image.
type Import struct {
	Image string `json:"image"` // id
}

// regions reads the other Images APIs from the SecureString parameter that lists them, since it has their secrets. The role of the importer needs ssm:GetParameter on it.
func (c *Cloud) regions(ctx context.Context) ([]importer.Region, error) {
	name := c.Getenv("BULLION_IMPORT_REGIONS")
	if name == "" {
		return nil, nil
	}
	body, err := json.Marshal(map[string]any{"Name": name, "WithDecryption": true})
	if err != nil {
		return nil, err
	}
	header := http.Header{"X-Amz-Target": {"AmazonSSM.GetParameter"}, "Content-Type": {"application/x-amz-json-1.1"}}
	text, err := c.call(ctx, "ssm", "BULLION_SSM_ENDPOINT", "/", header, body, http.StatusOK)
	if err != nil {
		return nil, fmt.Errorf("read the regions; if they are not there, make them: aws ssm put-parameter --name %s --type SecureString --value file://regions.json: %w", name, err)
	}
	var answer struct{ Parameter struct{ Value string } }
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("read the regions: %w", err)
	}
	list, err := importer.ParseRegions([]byte(answer.Parameter.Value))
	if err != nil {
		return nil, fmt.Errorf("the parameter %s: %w", name, err)
	}
	return list, nil
}

// startImport starts the function importer and does not wait for it. Where that fails, the next round of scrub does it.
func (c *Cloud) startImport(ctx context.Context, imageID string) {
	function := c.Getenv("BULLION_IMPORTER")
	if function == "" {
		return
	}
	payload, err := json.Marshal(Import{Image: imageID})
	if err == nil {
		err = c.invoke(ctx, function, payload)
	}
	if err != nil {
		c.Log.LogAttrs(ctx, slog.LevelError, "an import waits for the next round of scrub", slog.String("image", imageID), slog.String("error", err.Error()))
	}
}

// Imports is the handler of the importer function. A fetch that does not end within a quarter of an hour starts the function again with the same event and goes on
// where it stopped; one that failed for a reason of ours is tried again by Lambda, and then by scrub.
func (c *Cloud) Imports() func(context.Context, Import) error {
	c.Images.Examine = c.Validator().Run // what was fetched, as far as the time goes
	m := &importer.Importer{Images: c.Images, Client: fetch.New(c.sources, fetch.Options{}), Log: c.Log, NewID: images.NewID, Now: time.Now, Regions: c.regions}
	return func(ctx context.Context, e Import) error {
		if e.Image == "" {
			return errors.New(`the event has no image; send {"image": "ID"}`)
		}
		err := m.Run(ctx, e.Image)
		switch {
		case errors.Is(err, images.ErrBusy):
			return nil
		case errors.Is(err, importer.ErrContinue):
			payload, err := json.Marshal(e)
			if err != nil {
				return err
			}
			if err := c.invokeAgain(ctx, payload); err != nil {
				return fmt.Errorf("the rest of an import waits for scrub: %w", err)
			}
			return nil
		}
		return err
	}
}
