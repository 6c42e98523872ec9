package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bullion/internal/images"
	"bullion/internal/metadefs"
)

// metadefRoutes are Glance's metadata definitions.
func (a *api) metadefRoutes() []route {
	const ns = "/v2/metadefs/namespaces/{namespace}"
	return []route{
		{pattern: "GET /v2/metadefs/resource_types", handle: a.listResourceTypes},
		{pattern: "GET /v2/metadefs/namespaces", handle: a.listNamespaces},
		{pattern: "POST /v2/metadefs/namespaces", handle: a.createNamespace},
		{pattern: "GET " + ns, handle: a.showNamespace},
		{pattern: "PUT " + ns, handle: a.setNamespace},
		{pattern: "DELETE " + ns, handle: a.deleteNamespace},

		{pattern: "GET " + ns + "/resource_types", handle: a.listAssociations},
		{pattern: "POST " + ns + "/resource_types", handle: a.addAssociation},
		{pattern: "DELETE " + ns + "/resource_types/{name}", handle: a.removeAssociation},

		{pattern: "GET " + ns + "/properties", handle: a.listProperties},
		{pattern: "POST " + ns + "/properties", handle: a.addProperty},
		{pattern: "DELETE " + ns + "/properties", handle: a.removeProperties},
		{pattern: "GET " + ns + "/properties/{name}", handle: a.showProperty},
		{pattern: "PUT " + ns + "/properties/{name}", handle: a.setProperty},
		{pattern: "DELETE " + ns + "/properties/{name}", handle: a.removeProperty},

		{pattern: "GET " + ns + "/objects", handle: a.listObjects},
		{pattern: "POST " + ns + "/objects", handle: a.addObject},
		{pattern: "DELETE " + ns + "/objects", handle: a.removeObjects},
		{pattern: "GET " + ns + "/objects/{name}", handle: a.showObject},
		{pattern: "PUT " + ns + "/objects/{name}", handle: a.setObject},
		{pattern: "DELETE " + ns + "/objects/{name}", handle: a.removeObject},

		{pattern: "GET " + ns + "/tags", handle: a.listMetadefTags},
		{pattern: "POST " + ns + "/tags", handle: a.setMetadefTags},
		{pattern: "DELETE " + ns + "/tags", handle: a.removeMetadefTags},
		{pattern: "GET " + ns + "/tags/{name}", handle: a.showMetadefTag},
		{pattern: "POST " + ns + "/tags/{name}", handle: a.addMetadefTag},
		{pattern: "PUT " + ns + "/tags/{name}", handle: a.setMetadefTag},
		{pattern: "DELETE " + ns + "/tags/{name}", handle: a.removeMetadefTag},
	}
}

// namespaceDocument is a namespace with, in a show, what is in it.
type namespaceDocument struct {
	Namespace     string                    `json:"namespace"`
	DisplayName   string                    `json:"display_name,omitempty"`
	Description   string                    `json:"description,omitempty"`
	Visibility    images.Visibility         `json:"visibility"`
	Protected     bool                      `json:"protected"`
	Owner         string                    `json:"owner"`
	ResourceTypes []associationDocument     `json:"resource_type_associations,omitempty"`
	Properties    map[string]map[string]any `json:"properties,omitempty"`
	Objects       []objectDocument          `json:"objects,omitempty"`
	Tags          []tagDocument             `json:"tags,omitempty"`
	CreatedAt     string                    `json:"created_at"`
	UpdatedAt     string                    `json:"updated_at"`
	Self          string                    `json:"self"`
	Schema        string                    `json:"schema"`
}

type associationDocument struct {
	Name             string `json:"name"`
	Prefix           string `json:"prefix,omitempty"`
	PropertiesTarget string `json:"properties_target,omitempty"`
	CreatedAt        string `json:"created_at"`
	UpdatedAt        string `json:"updated_at"`
}

type objectDocument struct {
	Name        string                    `json:"name"`
	Description string                    `json:"description"`
	Required    []string                  `json:"required"`
	Properties  map[string]map[string]any `json:"properties"`
	CreatedAt   string                    `json:"created_at"`
	UpdatedAt   string                    `json:"updated_at"`
	Self        string                    `json:"self"`
	Schema      string                    `json:"schema"`
}

type tagDocument struct {
	Name      string `json:"name"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

func namespacePath(name string) string { return "/v2/metadefs/namespaces/" + url.PathEscape(name) }

func association(t metadefs.Association) associationDocument {
	return associationDocument{t.Name, t.Prefix, t.PropertiesTarget, timestamp(t.CreatedAt), timestamp(t.UpdatedAt)}
}

func objectOf(n *metadefs.Namespace, o metadefs.ObjectSchema) objectDocument {
	d := objectDocument{o.Name, o.Description, nonNil(o.Required), o.Properties, timestamp(o.CreatedAt), timestamp(o.UpdatedAt),
		namespacePath(n.Name) + "/objects/" + url.PathEscape(o.Name), "/v2/schemas/metadefs/object"}
	if d.Properties == nil {
		d.Properties = map[string]map[string]any{}
	}
	return d
}

func tagOf(t metadefs.Tag) tagDocument {
	return tagDocument{t.Name, timestamp(t.CreatedAt), timestamp(t.UpdatedAt)}
}

// propertyOf is a property with its name inside.
func propertyOf(p metadefs.Property) map[string]any {
	d := map[string]any{"name": p.Name}
	for k, v := range p.Schema {
		d[k] = v
	}
	return d
}

// properties are the schemas by name, each name with the prefix of the type of resource when one is asked.
func properties(n *metadefs.Namespace, resourceType string) map[string]map[string]any {
	prefix := ""
	if t, ok := n.TypeOf(resourceType); ok {
		prefix = t.Prefix
	}
	all := map[string]map[string]any{}
	for _, p := range n.Properties {
		all[prefix+p.Name] = p.Schema
	}
	return all
}

func namespaceOf(n *metadefs.Namespace) namespaceDocument {
	d := namespaceDocument{Namespace: n.Name, DisplayName: n.DisplayName, Description: n.Description, Visibility: n.Visibility, Protected: n.Protected,
		Owner: n.Owner, CreatedAt: timestamp(n.CreatedAt), UpdatedAt: timestamp(n.UpdatedAt), Self: namespacePath(n.Name), Schema: "/v2/schemas/metadefs/namespace"}
	for _, t := range n.ResourceTypes {
		d.ResourceTypes = append(d.ResourceTypes, association(t))
	}
	return d
}

func wholeNamespace(n *metadefs.Namespace, resourceType string) namespaceDocument {
	d := namespaceOf(n)
	d.Properties = properties(n, resourceType)
	for _, o := range n.Objects {
		d.Objects = append(d.Objects, objectOf(n, o))
	}
	for _, t := range n.Tags {
		d.Tags = append(d.Tags, tagOf(t))
	}
	return d
}

func (a *api) listResourceTypes(w http.ResponseWriter, r *http.Request) error {
	if err := a.Images.Permit(r.Context(), callerOf(r), "list_metadef_resource_types"); err != nil {
		return err
	}
	began := timestamp(time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC))
	list := []associationDocument{}
	for _, name := range metadefs.ResourceTypes {
		list = append(list, associationDocument{Name: name, CreatedAt: began, UpdatedAt: began})
	}
	writeJSON(w, http.StatusOK, map[string]any{"resource_types": list})
	return nil
}

func (a *api) listNamespaces(w http.ResponseWriter, r *http.Request) error {
	params := r.URL.Query()
	q := metadefs.Query{Visibility: images.Visibility(params.Get("visibility")), After: params.Get("marker"), Limit: images.DefaultPage}
	if types := params.Get("resource_types"); types != "" {
		q.ResourceTypes = strings.Split(types, ",")
	}
	if text := params.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return images.Errorf(images.Invalid, "limit must be a whole number from 0, not %.40q.", text)
		}
		q.Limit = min(n, images.MaxPage)
	}
	switch key := params.Get("sort_key"); key {
	case "", "created_at", "namespace": // by name in each case: most of the catalogue is of one moment
	default:
		return images.Errorf(images.Invalid, "Namespaces are sorted by namespace, not by %.40q.", key)
	}
	switch dir := params.Get("sort_dir"); dir {
	case "", "asc":
	case "desc":
		q.Descending = true
	default:
		return images.Errorf(images.Invalid, "sort_dir must be asc or desc, not %.40q.", dir)
	}
	page, more, err := a.Metadefs.List(r.Context(), callerOf(r), q)
	if err != nil {
		return err
	}
	list := []namespaceDocument{}
	for _, n := range page {
		list = append(list, namespaceOf(n))
	}
	link := func(marker string) string {
		params.Del("marker")
		if marker != "" {
			params.Set("marker", marker)
		}
		return (&url.URL{Path: "/v2/metadefs/namespaces", RawQuery: params.Encode()}).String()
	}
	body := map[string]any{"namespaces": list, "first": link(""), "schema": "/v2/schemas/metadefs/namespaces"}
	if more && len(page) > 0 {
		body["next"] = link(page[len(page)-1].Name)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// namespaceBody is what clients send.
type namespaceBody struct {
	Namespace     *string                   `json:"namespace"`
	DisplayName   string                    `json:"display_name"`
	Description   string                    `json:"description"`
	Visibility    images.Visibility         `json:"visibility"`
	Protected     bool                      `json:"protected"`
	Owner         string                    `json:"owner"`
	ResourceTypes []associationBody         `json:"resource_type_associations"`
	Properties    map[string]map[string]any `json:"properties"`
	Objects       []objectBody              `json:"objects"`
	Tags          []tagBody                 `json:"tags"`
}

type associationBody struct {
	Name             string `json:"name"`
	Prefix           string `json:"prefix"`
	PropertiesTarget string `json:"properties_target"`
}

type objectBody struct {
	Name        string                    `json:"name"`
	Description string                    `json:"description"`
	Required    []string                  `json:"required"`
	Properties  map[string]map[string]any `json:"properties"`
}

type tagBody struct {
	Name string `json:"name"`
}

func (b associationBody) made(now time.Time) metadefs.Association {
	return metadefs.Association{Name: b.Name, Prefix: b.Prefix, PropertiesTarget: b.PropertiesTarget, CreatedAt: now, UpdatedAt: now}
}

func (b objectBody) made(created, now time.Time) metadefs.ObjectSchema {
	return metadefs.ObjectSchema{Name: b.Name, Description: b.Description, Required: b.Required, Properties: b.Properties, CreatedAt: created, UpdatedAt: now}
}

func (a *api) createNamespace(w http.ResponseWriter, r *http.Request) error {
	var b namespaceBody
	if err := decode(w, r, &b); err != nil {
		return err
	}
	if b.Namespace == nil {
		return images.Errorf(images.Invalid, "namespace is missing: the name of the namespace.")
	}
	c := callerOf(r)
	if b.Owner != "" && b.Owner != c.ProjectID && !a.Images.Policy.SeesAll(c) {
		return images.Errorf(images.Forbidden, "Only an administrator may set owner to another project than the token's.")
	}
	n := &metadefs.Namespace{Name: *b.Namespace, DisplayName: b.DisplayName, Description: b.Description, Visibility: b.Visibility, Protected: b.Protected, Owner: b.Owner}
	if n.Visibility == "" {
		n.Visibility = images.Private
	}
	now := time.Now().UTC().Truncate(time.Second)
	for _, t := range b.ResourceTypes {
		n.ResourceTypes = append(n.ResourceTypes, t.made(now))
	}
	for name, s := range b.Properties {
		n.Properties = append(n.Properties, metadefs.Property{Name: name, Schema: s})
	}
	slices.SortFunc(n.Properties, func(a, b metadefs.Property) int { return strings.Compare(a.Name, b.Name) })
	for _, o := range b.Objects {
		n.Objects = append(n.Objects, o.made(now, now))
	}
	for _, t := range b.Tags {
		n.Tags = append(n.Tags, metadefs.Tag{Name: t.Name, CreatedAt: now, UpdatedAt: now})
	}
	if err := a.Metadefs.Create(r.Context(), c, n); err != nil {
		return err
	}
	w.Header().Set("Location", baseURL(r)+namespacePath(n.Name))
	writeJSON(w, http.StatusCreated, wholeNamespace(n, ""))
	return nil
}

func (a *api) namespace(r *http.Request, rule string) (*metadefs.Namespace, error) {
	return a.Metadefs.Get(r.Context(), callerOf(r), rule, r.PathValue("namespace"))
}

func (a *api) changeNamespace(r *http.Request, rule string, edit func(n *metadefs.Namespace, now time.Time) error) (*metadefs.Namespace, error) {
	return a.Metadefs.Change(r.Context(), callerOf(r), rule, r.PathValue("namespace"), edit)
}

func (a *api) showNamespace(w http.ResponseWriter, r *http.Request) error {
	n, err := a.namespace(r, "get_metadef_namespace")
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, wholeNamespace(n, r.URL.Query().Get("resource_type")))
	return nil
}

func (a *api) setNamespace(w http.ResponseWriter, r *http.Request) error {
	var b namespaceBody
	if err := decode(w, r, &b); err != nil {
		return err
	}
	n, err := a.changeNamespace(r, "modify_metadef_namespace", func(n *metadefs.Namespace, _ time.Time) error {
		if b.Namespace != nil && *b.Namespace != n.Name {
			return images.Errorf(images.Invalid, "namespace cannot change from %.80q; create another namespace.", n.Name)
		}
		if b.Owner != "" && b.Owner != n.Owner && !a.Images.Policy.SeesAll(callerOf(r)) {
			return images.Errorf(images.Forbidden, "Only an administrator may set owner to another project than the token's.")
		}
		n.DisplayName, n.Description, n.Protected = b.DisplayName, b.Description, b.Protected
		if b.Visibility != "" {
			n.Visibility = b.Visibility
		}
		if b.Owner != "" {
			n.Owner = b.Owner
		}
		return nil
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, namespaceOf(n))
	return nil
}

func (a *api) deleteNamespace(w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Metadefs.Delete(r.Context(), callerOf(r), r.PathValue("namespace")))
}

func (a *api) listAssociations(w http.ResponseWriter, r *http.Request) error {
	n, err := a.namespace(r, "get_metadef_resource_type")
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"resource_type_associations": nonNil(namespaceOf(n).ResourceTypes)})
	return nil
}

func (a *api) addAssociation(w http.ResponseWriter, r *http.Request) error {
	var b associationBody
	if err := decode(w, r, &b); err != nil {
		return err
	}
	n, err := a.changeNamespace(r, "add_metadef_resource_type_association", func(n *metadefs.Namespace, now time.Time) error {
		n.ResourceTypes = append(n.ResourceTypes, b.made(now))
		return nil
	})
	if err != nil {
		return err
	}
	t, _ := n.TypeOf(b.Name)
	writeJSON(w, http.StatusCreated, association(t))
	return nil
}

func (a *api) removeAssociation(w http.ResponseWriter, r *http.Request) error {
	_, err := a.changeNamespace(r, "remove_metadef_resource_type_association", func(n *metadefs.Namespace, _ time.Time) error {
		return remove(&n.ResourceTypes, "resource type", r.PathValue("name"), func(t metadefs.Association) string { return t.Name })
	})
	return a.done(w, err)
}

// find is the item of a name in one of the lists of a namespace.
func find[T any](list []T, kind, name string, nameOf func(T) string) (int, error) {
	at := slices.IndexFunc(list, func(item T) bool { return nameOf(item) == name })
	if at < 0 {
		return 0, images.Errorf(images.NotFound, "The namespace has no %s %.80q.", kind, name)
	}
	return at, nil
}

func remove[T any](list *[]T, kind, name string, nameOf func(T) string) error {
	at, err := find(*list, kind, name, nameOf)
	if err == nil {
		*list = slices.Delete(*list, at, at+1)
	}
	return err
}

func propertyName(p metadefs.Property) string   { return p.Name }
func objectName(o metadefs.ObjectSchema) string { return o.Name }
func tagName(t metadefs.Tag) string             { return t.Name }

func (a *api) listProperties(w http.ResponseWriter, r *http.Request) error {
	n, err := a.namespace(r, "get_metadef_properties")
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"properties": properties(n, r.URL.Query().Get("resource_type")), "schema": "/v2/schemas/metadefs/properties"})
	return nil
}

// propertyBody is a JSON schema with the name inside.
func propertyBody(w http.ResponseWriter, r *http.Request) (p metadefs.Property, err error) {
	var raw json.RawMessage
	if err := decode(w, r, &raw); err != nil {
		return p, err
	}
	if err := json.Unmarshal(raw, &p.Schema); err != nil || p.Schema == nil {
		return p, images.Errorf(images.Invalid, "The body must be a JSON object with name, title and type.")
	}
	p.Name, _ = p.Schema["name"].(string)
	for _, own := range []string{"name", "self", "schema", "created_at", "updated_at"} {
		delete(p.Schema, own)
	}
	return p, nil
}

func (a *api) addProperty(w http.ResponseWriter, r *http.Request) error {
	p, err := propertyBody(w, r)
	if err != nil {
		return err
	}
	if _, err = a.changeNamespace(r, "add_metadef_property", func(n *metadefs.Namespace, _ time.Time) error {
		n.Properties = append(n.Properties, p)
		return nil
	}); err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, propertyOf(p))
	return nil
}

func (a *api) showProperty(w http.ResponseWriter, r *http.Request) error {
	n, err := a.namespace(r, "get_metadef_property")
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	if t, ok := n.TypeOf(r.URL.Query().Get("resource_type")); ok {
		name = strings.TrimPrefix(name, t.Prefix)
	}
	at, err := find(n.Properties, "property", name, propertyName)
	if err != nil {
		return err
	}
	d := propertyOf(n.Properties[at])
	d["name"] = r.PathValue("name")
	writeJSON(w, http.StatusOK, d)
	return nil
}

func (a *api) setProperty(w http.ResponseWriter, r *http.Request) error {
	p, err := propertyBody(w, r)
	if err != nil {
		return err
	}
	if p.Name == "" {
		p.Name = r.PathValue("name")
	}
	if _, err = a.changeNamespace(r, "modify_metadef_property", func(n *metadefs.Namespace, _ time.Time) error {
		at, err := find(n.Properties, "property", r.PathValue("name"), propertyName)
		if err == nil {
			n.Properties[at] = p
		}
		return err
	}); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, propertyOf(p))
	return nil
}

func (a *api) removeProperty(w http.ResponseWriter, r *http.Request) error {
	_, err := a.changeNamespace(r, "remove_metadef_property", func(n *metadefs.Namespace, _ time.Time) error {
		return remove(&n.Properties, "property", r.PathValue("name"), propertyName)
	})
	return a.done(w, err)
}

func (a *api) removeProperties(w http.ResponseWriter, r *http.Request) error {
	_, err := a.changeNamespace(r, "remove_metadef_property", func(n *metadefs.Namespace, _ time.Time) error {
		n.Properties = nil
		return nil
	})
	return a.done(w, err)
}

func (a *api) listObjects(w http.ResponseWriter, r *http.Request) error {
	n, err := a.namespace(r, "get_metadef_objects")
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"objects": nonNil(wholeNamespace(n, "").Objects),
		"first": namespacePath(n.Name) + "/objects", "schema": "/v2/schemas/metadefs/objects"})
	return nil
}

func (a *api) addObject(w http.ResponseWriter, r *http.Request) error {
	var b objectBody
	if err := decode(w, r, &b); err != nil {
		return err
	}
	n, err := a.changeNamespace(r, "add_metadef_object", func(n *metadefs.Namespace, now time.Time) error {
		n.Objects = append(n.Objects, b.made(now, now))
		return nil
	})
	return writeObject(w, http.StatusCreated, n, b.Name, err)
}

func writeObject(w http.ResponseWriter, status int, n *metadefs.Namespace, name string, err error) error {
	if err != nil {
		return err
	}
	at, err := find(n.Objects, "object", name, objectName)
	if err != nil {
		return err
	}
	writeJSON(w, status, objectOf(n, n.Objects[at]))
	return nil
}

func (a *api) showObject(w http.ResponseWriter, r *http.Request) error {
	n, err := a.namespace(r, "get_metadef_object")
	return writeObject(w, http.StatusOK, n, r.PathValue("name"), err)
}

func (a *api) setObject(w http.ResponseWriter, r *http.Request) error {
	var b objectBody
	if err := decode(w, r, &b); err != nil {
		return err
	}
	if b.Name == "" {
		b.Name = r.PathValue("name")
	}
	n, err := a.changeNamespace(r, "modify_metadef_object", func(n *metadefs.Namespace, now time.Time) error {
		at, err := find(n.Objects, "object", r.PathValue("name"), objectName)
		if err == nil {
			n.Objects[at] = b.made(n.Objects[at].CreatedAt, now)
		}
		return err
	})
	return writeObject(w, http.StatusOK, n, b.Name, err)
}

func (a *api) removeObject(w http.ResponseWriter, r *http.Request) error {
	_, err := a.changeNamespace(r, "delete_metadef_object", func(n *metadefs.Namespace, _ time.Time) error {
		return remove(&n.Objects, "object", r.PathValue("name"), objectName)
	})
	return a.done(w, err)
}

func (a *api) removeObjects(w http.ResponseWriter, r *http.Request) error {
	_, err := a.changeNamespace(r, "delete_metadef_object", func(n *metadefs.Namespace, _ time.Time) error {
		n.Objects = nil
		return nil
	})
	return a.done(w, err)
}

func (a *api) listMetadefTags(w http.ResponseWriter, r *http.Request) error {
	n, err := a.namespace(r, "get_metadef_tags")
	if err != nil {
		return err
	}
	writeTags(w, http.StatusOK, n)
	return nil
}

func writeTags(w http.ResponseWriter, status int, n *metadefs.Namespace) {
	writeJSON(w, status, map[string]any{"tags": nonNil(wholeNamespace(n, "").Tags),
		"first": namespacePath(n.Name) + "/tags", "schema": "/v2/schemas/metadefs/tags"})
}

// setMetadefTags replaces the tags, or adds to them with the header X-Openstack-Append.
func (a *api) setMetadefTags(w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Tags []tagBody `json:"tags"`
	}
	if err := decode(w, r, &b); err != nil {
		return err
	}
	n, err := a.changeNamespace(r, "add_metadef_tags", func(n *metadefs.Namespace, now time.Time) error {
		if !strings.EqualFold(r.Header.Get("X-Openstack-Append"), "true") {
			n.Tags = nil
		}
		for _, t := range b.Tags {
			n.Tags = append(n.Tags, metadefs.Tag{Name: t.Name, CreatedAt: now, UpdatedAt: now})
		}
		return nil
	})
	if err != nil {
		return err
	}
	writeTags(w, http.StatusCreated, n)
	return nil
}

func (a *api) removeMetadefTags(w http.ResponseWriter, r *http.Request) error {
	_, err := a.changeNamespace(r, "delete_metadef_tags", func(n *metadefs.Namespace, _ time.Time) error {
		n.Tags = nil
		return nil
	})
	return a.done(w, err)
}

func writeTag(w http.ResponseWriter, status int, n *metadefs.Namespace, name string, err error) error {
	if err != nil {
		return err
	}
	at, err := find(n.Tags, "tag", name, tagName)
	if err != nil {
		return err
	}
	writeJSON(w, status, tagOf(n.Tags[at]))
	return nil
}

func (a *api) showMetadefTag(w http.ResponseWriter, r *http.Request) error {
	n, err := a.namespace(r, "get_metadef_tag")
	return writeTag(w, http.StatusOK, n, r.PathValue("name"), err)
}

func (a *api) addMetadefTag(w http.ResponseWriter, r *http.Request) error {
	n, err := a.changeNamespace(r, "add_metadef_tag", func(n *metadefs.Namespace, now time.Time) error {
		n.Tags = append(n.Tags, metadefs.Tag{Name: r.PathValue("name"), CreatedAt: now, UpdatedAt: now})
		return nil
	})
	return writeTag(w, http.StatusCreated, n, r.PathValue("name"), err)
}

func (a *api) setMetadefTag(w http.ResponseWriter, r *http.Request) error {
	var b tagBody
	if err := decode(w, r, &b); err != nil {
		return err
	}
	n, err := a.changeNamespace(r, "modify_metadef_tag", func(n *metadefs.Namespace, now time.Time) error {
		at, err := find(n.Tags, "tag", r.PathValue("name"), tagName)
		if err == nil {
			n.Tags[at].Name, n.Tags[at].UpdatedAt = b.Name, now
		}
		return err
	})
	return writeTag(w, http.StatusOK, n, b.Name, err)
}

func (a *api) removeMetadefTag(w http.ResponseWriter, r *http.Request) error {
	_, err := a.changeNamespace(r, "delete_metadef_tag", func(n *metadefs.Namespace, _ time.Time) error {
		return remove(&n.Tags, "tag", r.PathValue("name"), tagName)
	})
	return a.done(w, err)
}
