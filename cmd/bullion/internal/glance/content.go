package glance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// Content is the bytes of one image. It asks the service once where they are, and again when that address has expired.
type Content struct {
	client *Client
	id     string
	size   int64

	mu      sync.Mutex
	address string // presigned; "" before the first answer, and when the service sends the bytes itself
}

// Content names the bytes of an active image.
func (c *Client) Content(id string, size int64) *Content {
	return &Content{client: c, id: id, size: size}
}

// Range opens n bytes from off. The caller closes it. The error is Retryable when trying again may help.
func (c *Content) Range(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if off < 0 || n <= 0 || off+n > c.size {
		return nil, fmt.Errorf("bytes %d to %d are not in an image of %d bytes", off, off+n, c.size)
	}
	span := fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	for range 2 {
		address := c.known()
		var resp *http.Response
		var err error
		if address == "" {
			if resp, err = c.ask(ctx, span); err != nil {
				return nil, err
			}
			if isRedirect(resp.StatusCode) {
				resp.Body.Close()
				if address, err = c.follow(resp); err != nil {
					return nil, err
				}
			}
		}
		if address != "" {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
			if err != nil {
				return nil, errors.New("the service sent an address of the bytes that is not a URL")
			}
			req.Header.Set("Range", span)
			if resp, err = c.client.Data.Do(req); err != nil {
				return nil, HideURL(err, req.URL.Host)
			}
			if resp.StatusCode == http.StatusForbidden {
				resp.Body.Close()
				c.forget(address)
				continue
			}
		}
		return c.check(resp, off, n)
	}
	return nil, &Error{Status: http.StatusForbidden, Message: "The storage refuses an address that was just signed; its clock and that of the service may differ."}
}

func (c *Content) known() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.address
}

func (c *Content) forget(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.address == address {
		c.address = ""
	}
}

// ask requests the bytes of the service, which answers with them or with where they are.
func (c *Content) ask(ctx context.Context, span string) (*http.Response, error) {
	service := c.client.service
	resp, err := service.Request(ctx, http.MethodGet, service.ResourceBaseURL()+imagePath(c.id, "file"), &gophercloud.RequestOpts{
		MoreHeaders:      map[string]string{"Range": span, "Accept": "application/octet-stream, application/json"},
		OkCodes:          []int{200, 204, 206, 301, 302, 303, 307, 308},
		KeepResponseBody: true,
	})
	return resp, translate(err, hostOf(c.client.Endpoint(), c.client.Endpoint()))
}

// follow keeps the address that a redirect gives.
func (c *Content) follow(resp *http.Response) (string, error) {
	base, err := url.Parse(c.client.Endpoint())
	if err != nil {
		return "", fmt.Errorf("the address of the image service is not a URL: %w", err)
	}
	to, err := base.Parse(resp.Header.Get("Location"))
	if err != nil || to.Host == "" {
		return "", errors.New("the service redirects the download to something that is not a URL")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.address = to.String()
	return c.address, nil
}

// check makes sure that an answer is the bytes that were asked for.
func (c *Content) check(resp *http.Response, off, n int64) (io.ReadCloser, error) {
	whole := off == 0 && n == c.size && resp.StatusCode == http.StatusOK && (resp.ContentLength == n || resp.ContentLength < 0)
	if whole || resp.StatusCode == http.StatusPartialContent && resp.Header.Get("Content-Range") == fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, c.size) {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		of, _ := strconv.ParseInt(resp.Header.Get("Content-Range")[strings.LastIndex(resp.Header.Get("Content-Range"), "/")+1:], 10, 64)
		return nil, fmt.Errorf("the storage has %d bytes of image %s, whose record says %d; tell the operator", of, c.id, c.size)
	case http.StatusOK:
		return nil, fmt.Errorf("the server does not send parts of image %s when asked for a range", c.id)
	case http.StatusNoContent:
		return nil, &Error{Status: resp.StatusCode, Message: fmt.Sprintf("Image %s has no data yet.", c.id)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, &Unreachable{Host: resp.Request.URL.Host, Err: err}
	}
	code, message := StorageError(body)
	return nil, &Error{
		Status:     resp.StatusCode,
		Message:    fmt.Sprintf("The storage answered %d %s %s", resp.StatusCode, code, message),
		RetryAfter: RetryAfter(resp.Header, time.Now()),
	}
}

func isRedirect(status int) bool {
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308
}
