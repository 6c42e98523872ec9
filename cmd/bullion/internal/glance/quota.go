package glance

import (
	"context"
	"net/http"
	"net/url"
)

// Amounts are what a project uses or may use; -1 does not bound.
type Amounts struct {
	Images   int64 `json:"images"`
	Bytes    int64 `json:"bytes"`
	InFlight int64 `json:"in_flight"` // bytes
	Uploads  int64 `json:"uploads"`
}

// Quota is what the service says of a project.
type Quota struct {
	ProjectID string  `json:"project_id"`
	Quota     Amounts `json:"quota"`
	Usage     Amounts `json:"usage"`
	Egress    struct {
		Month string `json:"month"` // 2006-01
		Bytes int64  `json:"bytes"`
	} `json:"egress"`
}

// Quota shows what a project may use and uses.
func (c *Client) Quota(ctx context.Context, project string) (q Quota, err error) {
	err = c.do(ctx, http.MethodGet, "quotas/"+url.PathEscape(project), nil, &q, 200)
	return q, err
}

// SetQuota sets all figures.
func (c *Client) SetQuota(ctx context.Context, project string, limit Amounts) (q Quota, err error) {
	err = c.do(ctx, http.MethodPut, "quotas/"+url.PathEscape(project), limit, &q, 200)
	return q, err
}

// UnsetQuota takes the project's own quota back.
func (c *Client) UnsetQuota(ctx context.Context, project string) error {
	return c.do(ctx, http.MethodDelete, "quotas/"+url.PathEscape(project), nil, nil, 204)
}
