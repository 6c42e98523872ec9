package glance

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// do makes one call. body and answer may be nil.
func (c *Client) do(ctx context.Context, method, path string, body, answer any, ok ...int) error {
	return c.doAs(ctx, method, path, "", body, answer, ok...)
}

func (c *Client) doAs(ctx context.Context, method, path, contentType string, body, answer any, ok ...int) error {
	opts := &gophercloud.RequestOpts{JSONBody: body, JSONResponse: answer, OkCodes: ok}
	if contentType != "" {
		opts.MoreHeaders = map[string]string{"Content-Type": contentType}
	}
	_, err := c.service.Request(ctx, method, c.service.ResourceBaseURL()+path, opts)
	return translate(err, hostOf(c.Endpoint(), c.Endpoint()))
}

func imagePath(id string, more ...string) string {
	path := "images/" + url.PathEscape(id)
	for _, m := range more {
		path += "/" + url.PathEscape(m)
	}
	return path
}

// Create makes the record of an image.
func (c *Client) Create(ctx context.Context, attributes map[string]any) (*Image, error) {
	var i Image
	return &i, c.do(ctx, http.MethodPost, "images", attributes, &i, 201)
}

// Get shows one image.
func (c *Client) Get(ctx context.Context, id string) (*Image, error) {
	var i Image
	return &i, c.do(ctx, http.MethodGet, imagePath(id), nil, &i, 200)
}

// Change is one step of a JSON patch.
type Change struct {
	Op    string `json:"op"` // add, replace or remove
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Set makes the change that gives an attribute or a property a value, whether it had one or not.
func Set(name string, value any) Change {
	return Change{Op: "add", Path: pointer(name), Value: value}
}

// Unset makes the change that removes a property.
func Unset(name string) Change { return Change{Op: "remove", Path: pointer(name)} }

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

func pointer(name string) string { return "/" + escapePointer.Replace(name) }

// Patch applies all changes or none.
func (c *Client) Patch(ctx context.Context, id string, changes []Change) (*Image, error) {
	var i Image
	return &i, c.doAs(ctx, http.MethodPatch, imagePath(id), "application/openstack-images-v2.1-json-patch", changes, &i, 200)
}

// Delete removes an image for good.
func (c *Client) Delete(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, imagePath(id), nil, nil, 204)
}

// Action is deactivate or reactivate.
func (c *Client) Action(ctx context.Context, id, action string) error {
	return c.do(ctx, http.MethodPost, imagePath(id, "actions", action), nil, nil, 204)
}

// CancelImport gives up the fetch of an image's bytes by the service.
func (c *Client) CancelImport(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, imagePath(id, "import"), nil, nil, 204)
}

// List yields the images of a query, page after page; it ends after an error.
func (c *Client) List(ctx context.Context, query url.Values) iter.Seq2[*Image, error] {
	return func(yield func(*Image, error) bool) {
		for {
			var page struct {
				Images []*Image
				Next   string
			}
			path := "images"
			if len(query) > 0 {
				path += "?" + query.Encode()
			}
			if err := c.do(ctx, http.MethodGet, path, nil, &page, 200); err != nil {
				yield(nil, err)
				return
			}
			for _, i := range page.Images {
				if !yield(i, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			// The address in next may be without what a proxy put before it; its query says all.
			next, err := url.Parse(page.Next)
			if err != nil || next.Query().Encode() == query.Encode() {
				yield(nil, fmt.Errorf("the service sent a next page that leads nowhere: %q", page.Next))
				return
			}
			query = next.Query()
		}
	}
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// IsID says whether a string can be the id of an image or an upload.
func IsID(s string) bool { return uuid.MatchString(s) }

// Ambiguous is the error of Find when more than one image has the name.
type Ambiguous struct {
	Name   string
	Images []*Image
}

func (e *Ambiguous) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d images are called %q; give the id of the one that you mean:", len(e.Images), e.Name)
	for _, i := range e.Images {
		fmt.Fprintf(&b, "\n  %s  %s, created %s", i.ID, i.Status, i.CreatedAt.Format("2006-01-02 15:04"))
	}
	return b.String()
}

// Find shows the image of that id or, when there is none, the only one of that name. It looks where a plain list does, then at hidden images, and
// then at those that were shared and not accepted yet.
func (c *Client) Find(ctx context.Context, ref string) (*Image, error) {
	if ref == "" {
		return nil, fmt.Errorf("the name or id of an image must not be empty")
	}
	if IsID(ref) {
		i, err := c.Get(ctx, strings.ToLower(ref))
		if StatusOf(err) != http.StatusNotFound {
			return i, err
		}
	}
	for _, more := range []url.Values{{}, {"os_hidden": {"true"}}, {"visibility": {"shared"}, "member_status": {"all"}}} {
		more.Set("name", ref)
		var found []*Image
		for i, err := range c.List(ctx, more) {
			if err != nil {
				return nil, err
			}
			if i.Name == ref {
				found = append(found, i)
			}
		}
		switch {
		case len(found) > 1:
			return nil, &Ambiguous{ref, found}
		case len(found) == 1:
			return found[0], nil
		}
	}
	return nil, &Error{Status: http.StatusNotFound, Message: fmt.Sprintf("There is no image %q that you may see; bullion image list shows those that you may.", ref)}
}

// History lists what happened to an image, the oldest first.
func (c *Client) History(ctx context.Context, id string) ([]Event, error) {
	var all []Event
	for {
		var page struct{ Events []Event }
		path := imagePath(id, "history")
		if len(all) > 0 {
			path += fmt.Sprintf("?after=%d", all[len(all)-1].Seq)
		}
		if err := c.do(ctx, http.MethodGet, path, nil, &page, 200); err != nil || len(page.Events) == 0 {
			return all, err
		}
		all = append(all, page.Events...)
	}
}

// Verdict says what the examination of an image's bytes found; nil where the service does not say, as Glance does not.
func (c *Client) Verdict(ctx context.Context, id string) (*Verdict, error) {
	var v Verdict
	err := c.do(ctx, http.MethodGet, imagePath(id, "validation"), nil, &v, 200)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return nil, nil
	}
	return &v, err
}

// Members lists the projects with which an image is shared.
func (c *Client) Members(ctx context.Context, id string) ([]Member, error) {
	var list struct{ Members []Member }
	return list.Members, c.do(ctx, http.MethodGet, imagePath(id, "members"), nil, &list, 200)
}

// Share adds a project.
func (c *Client) Share(ctx context.Context, id, project string) (Member, error) {
	var m Member
	return m, c.do(ctx, http.MethodPost, imagePath(id, "members"), map[string]string{"member": project}, &m, 200)
}

// Unshare removes a project.
func (c *Client) Unshare(ctx context.Context, id, project string) error {
	return c.do(ctx, http.MethodDelete, imagePath(id, "members", project), nil, nil, 204)
}

// Answer says what a project thinks of being shared with: accepted, rejected or pending.
func (c *Client) Answer(ctx context.Context, id, project, status string) (Member, error) {
	var m Member
	return m, c.do(ctx, http.MethodPut, imagePath(id, "members", project), map[string]string{"status": status}, &m, 200)
}
