package glance

import (
	"context"
	"net/http"
)

// Finding is one thing that does not balance.
type Finding struct {
	Kind    string `json:"kind"`
	ImageID string `json:"image_id,omitempty"`
	Key     string `json:"key,omitempty"`
	Bytes   int64  `json:"bytes"`
	Says    string `json:"says"`
	Fixed   bool   `json:"fixed"`
}

// Books are what a page of scrub, or a run of them, found.
type Books struct {
	DryRun   bool      `json:"dry_run"`
	Images   int       `json:"images"`
	Objects  int       `json:"objects"`   // that belong to an image
	Stored   int64     `json:"stored"`    // bytes of these
	InFlight int64     `json:"in_flight"` // bytes
	Young    int       `json:"young"`     // objects without a record that may still get one
	Findings []Finding `json:"findings"`
	Next     string    `json:"next,omitempty"` // where the next page begins
}

// Scrub has one page of the books looked at, and what does not balance mended unless the run is dry.
func (c *Client) Scrub(ctx context.Context, dry bool, after string) (b Books, err error) {
	err = c.do(ctx, http.MethodPost, "scrub", map[string]any{"dry_run": dry, "after": after}, &b, 200)
	return b, err
}
