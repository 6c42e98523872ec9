package glance

import (
	"context"
	"net/http"
)

// MaxSignings is how many parts one call signs.
const MaxSignings = 100

// OpenUpload begins an upload of exactly size bytes. sha512 is "" or what they must hash to, in hex.
func (c *Client) OpenUpload(ctx context.Context, imageID string, size int64, sha512 string) (*Upload, error) {
	body := map[string]any{"size": size}
	if sha512 != "" {
		body["sha512"] = sha512
	}
	var u Upload
	return &u, c.do(ctx, http.MethodPost, imagePath(imageID, "uploads"), body, &u, 201)
}

// UploadStatus shows an upload and what S3 has of it.
func (c *Client) UploadStatus(ctx context.Context, imageID, uploadID string) (*Upload, error) {
	var u Upload
	return &u, c.do(ctx, http.MethodGet, imagePath(imageID, "uploads", uploadID), nil, &u, 200)
}

// SignParts signs the requests for up to MaxSignings parts, again if need be.
func (c *Client) SignParts(ctx context.Context, imageID, uploadID string, numbers []int) (*Upload, error) {
	var u Upload
	return &u, c.do(ctx, http.MethodPost, imagePath(imageID, "uploads", uploadID, "parts"), map[string]any{"numbers": numbers}, &u, 200)
}

// CompleteUpload tells the service that every part was sent. It can be repeated.
func (c *Client) CompleteUpload(ctx context.Context, imageID, uploadID string) (*Upload, error) {
	var u Upload
	return &u, c.do(ctx, http.MethodPost, imagePath(imageID, "uploads", uploadID, "complete"), nil, &u, 200, 202)
}

// AbortUpload gives an upload up; its bytes are deleted and the image stays queued.
func (c *Client) AbortUpload(ctx context.Context, imageID, uploadID string) error {
	return c.do(ctx, http.MethodDelete, imagePath(imageID, "uploads", uploadID), nil, nil, 204)
}
