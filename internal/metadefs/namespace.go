package metadefs

import (
	"slices"
	"time"
	"unicode/utf8"

	"bullion/internal/images"
)

// Limits on one namespace.
const (
	maxName   = 80        // characters of a name, as in Glance
	maxText   = 500       // characters of a description, as in Glance
	maxItems  = 500       // properties, objects, tags and associations, each
	maxTarget = 80        // characters of a properties_target and a prefix
	MaxSize   = 200 << 10 // bytes of the whole document: it must fit a record of every store
)

// Namespace is a set of definitions. Its name is its id.
type Namespace struct {
	Name        string            `json:"namespace"`
	DisplayName string            `json:"display_name,omitempty"`
	Description string            `json:"description,omitempty"`
	Visibility  images.Visibility `json:"visibility"` // public or private
	Protected   bool              `json:"protected"`
	Owner       string            `json:"owner"` // project id; empty for the catalogue
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`

	ResourceTypes []Association  `json:"resource_type_associations,omitempty"`
	Properties    []Property     `json:"properties,omitempty"`
	Objects       []ObjectSchema `json:"objects,omitempty"`
	Tags          []Tag          `json:"tags,omitempty"`
}

// Association says that the properties of a namespace go with a type of resource, such as OS::Glance::Image.
type Association struct {
	Name             string    `json:"name"`
	Prefix           string    `json:"prefix,omitempty"` // goes before the names of properties on that resource
	PropertiesTarget string    `json:"properties_target,omitempty"`
	CreatedAt        time.Time `json:"created_at"`
	UpdatedAt        time.Time `json:"updated_at"`
}

// Property is one property: its name, and the JSON schema of its values.
type Property struct {
	Name   string         `json:"name"`
	Schema map[string]any `json:"schema"`
}

// ObjectSchema is a group of properties.
type ObjectSchema struct {
	Name        string                    `json:"name"`
	Description string                    `json:"description,omitempty"`
	Required    []string                  `json:"required,omitempty"`
	Properties  map[string]map[string]any `json:"properties,omitempty"`
	CreatedAt   time.Time                 `json:"created_at"`
	UpdatedAt   time.Time                 `json:"updated_at"`
}

// Tag is one word to choose.
type Tag struct {
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ResourceTypes are the types of resource that definitions go with.
var ResourceTypes = []string{"OS::Glance::Image", "OS::Cinder::Volume", "OS::Nova::Flavor", "OS::Nova::Server", "OS::Nova::Aggregate", "OS::Trove::Instance"}

// TypeOf is the association with a type of resource.
func (n *Namespace) TypeOf(name string) (Association, bool) {
	at := slices.IndexFunc(n.ResourceTypes, func(a Association) bool { return a.Name == name })
	if at < 0 {
		return Association{}, false
	}
	return n.ResourceTypes[at], true
}

// check bounds the namespace and everything in it.
func (n *Namespace) check() error {
	if err := checkName("namespace", n.Name); err != nil {
		return err
	}
	if n.Visibility != images.Public && n.Visibility != images.Private {
		return images.Errorf(images.Invalid, "visibility of a namespace must be public or private, not %.40q.", n.Visibility)
	}
	if err := checkText("display_name", n.DisplayName, maxName); err != nil {
		return err
	}
	if err := checkText("description", n.Description, maxText); err != nil {
		return err
	}
	if err := checkAll("property", n.Properties, func(p Property) string { return p.Name }, func(p Property) error {
		for _, want := range []string{"title", "type"} {
			if s, ok := p.Schema[want].(string); !ok || s == "" {
				return images.Errorf(images.Invalid, "Property %q needs a %s, as a string.", p.Name, want)
			}
		}
		if kind := p.Schema["type"].(string); !slices.Contains(propertyTypes, kind) {
			return images.Errorf(images.Invalid, "Property %q has the type %.40q; use one of %v.", p.Name, kind, propertyTypes)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := checkAll("object", n.Objects, func(o ObjectSchema) string { return o.Name }, func(o ObjectSchema) error {
		return checkText("description", o.Description, maxText)
	}); err != nil {
		return err
	}
	if err := checkAll("tag", n.Tags, func(t Tag) string { return t.Name }, nil); err != nil {
		return err
	}
	return checkAll("resource type", n.ResourceTypes, func(a Association) string { return a.Name }, func(a Association) error {
		if err := checkText("prefix", a.Prefix, maxTarget); err != nil {
			return err
		}
		return checkText("properties_target", a.PropertiesTarget, maxTarget)
	})
}

var propertyTypes = []string{"array", "boolean", "integer", "number", "object", "string"}

// checkAll checks the items of one kind: their number, names and what else is wanted.
func checkAll[T any](kind string, list []T, name func(T) string, more func(T) error) error {
	if len(list) > maxItems {
		return images.Errorf(images.TooLarge, "A namespace has at most %d of kind %s; this would have %d.", maxItems, kind, len(list))
	}
	seen := map[string]bool{}
	for _, item := range list {
		n := name(item)
		if err := checkName(kind, n); err != nil {
			return err
		}
		if seen[n] {
			return images.Errorf(images.Conflict, "There is a %s %q already.", kind, n)
		}
		seen[n] = true
		if more != nil {
			if err := more(item); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkName(kind, name string) error {
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName || !utf8.ValidString(name) {
		return images.Errorf(images.Invalid, "The name of a %s has 1 to %d characters; %.40q has %d.", kind, maxName, name, n)
	}
	return nil
}

func checkText(name, text string, limit int) error {
	if n := utf8.RuneCountInString(text); n > limit || !utf8.ValidString(text) {
		return images.Errorf(images.Invalid, "%s has %d characters; at most %d are allowed.", name, n, limit)
	}
	return nil
}
