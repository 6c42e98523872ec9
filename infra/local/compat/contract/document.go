package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// document is an OpenAPI 3.1 document. Its schemas are JSON Schemas of draft 2020-12 as they stand.
type document struct{ operations []*operation }

// operation is one method on one path.
type operation struct {
	method, path string
	segments     []string
	requests     content            // nil takes no body
	responses    map[string]content // by status or default
}

// content is what a body may be, by media type; the schema of what is not JSON is nil.
type content map[string]*jsonschema.Schema

const at = "file:///openapi.yaml"

func readDocument(path string) (*document, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var root map[string]any
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(at, root); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	r := reader{root, compiler}
	d := &document{}
	for path, item := range object(root["paths"]) {
		for method, op := range object(item) {
			if !slices.Contains([]string{"get", "put", "post", "patch", "delete"}, method) {
				continue
			}
			o := &operation{method: strings.ToUpper(method), path: path, segments: strings.Split(path, "/"), responses: map[string]content{}}
			where := "#/paths/" + escape(path) + "/" + method
			fields := object(op)
			if o.requests, err = r.content(where+"/requestBody", fields["requestBody"]); err != nil {
				return nil, err
			}
			for status, response := range object(fields["responses"]) {
				if o.responses[status], err = r.content(where+"/responses/"+status, response); err != nil {
					return nil, err
				}
			}
			d.operations = append(d.operations, o)
		}
	}
	return d, nil
}

// reader follows the references of a document.
type reader struct {
	root     map[string]any
	compiler *jsonschema.Compiler
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// content compiles the schemas of a request body or a response, which stands at a place of the document or is a reference to another.
func (r reader) content(where string, v any) (content, error) {
	fields := object(v)
	if ref, ok := fields["$ref"].(string); ok {
		where = ref
		at := any(r.root)
		for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			at = object(at)[part]
		}
		fields = object(at)
		if fields == nil {
			return nil, fmt.Errorf("%s refers to nothing", ref)
		}
	}
	types := content{}
	for media, body := range object(fields["content"]) {
		types[media] = nil
		if _, ok := object(body)["schema"]; !ok || !strings.Contains(media, "json") {
			continue
		}
		schema, err := r.compiler.Compile(at + where + "/content/" + escape(media) + "/schema")
		if err != nil {
			return nil, err
		}
		types[media] = schema
	}
	return types, nil
}

// escape writes a name as a part of a JSON pointer in a fragment.
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(name)
}

// operation finds what serves a method on an escaped path; nil if the document has none.
func (d *document) operation(method, path string) (best *operation) {
	parts := strings.Split(path, "/")
	literals := -1
	for _, o := range d.operations {
		if n := o.matches(parts); o.method == method && n > literals {
			best, literals = o, n
		}
	}
	return best
}

// matches counts the literal parts of a path that the operation serves, and is -1 for another path. A parameter is one part, but for the last one
// of a schema's path, which takes the rest.
func (o *operation) matches(parts []string) (literals int) {
	if len(parts) != len(o.segments) && !(o.path == "/v2/schemas/{name}" && len(parts) > len(o.segments)) {
		return -1
	}
	for n, s := range o.segments {
		switch {
		case strings.HasPrefix(s, "{") && parts[n] != "":
		case s == parts[n]:
			literals++
		default:
			return -1
		}
	}
	return literals
}

// request says what of an accepted body the document does not allow.
func (o *operation) request(mediaType string, body []byte) []string {
	if len(body) == 0 || len(o.requests) == 0 {
		return nil // clients send an empty object where nothing is asked of them
	}
	return o.requests.check("request", mediaType, body)
}

// response says what of an answer the document does not promise. body is that of a JSON answer.
func (o *operation) response(res *http.Response, body []byte) []string {
	types, ok := o.responses[fmt.Sprint(res.StatusCode)]
	if !ok {
		types, ok = o.responses["default"]
	}
	switch {
	case !ok:
		return []string{"the document has no such status"}
	case len(types) == 0 && res.ContentLength == 0, res.StatusCode == http.StatusNoContent:
		return nil
	case len(types) == 0:
		return []string{fmt.Sprintf("the document promises no body, and there is one of %d bytes", res.ContentLength)}
	}
	return types.check("answer", res.Header.Get("Content-Type"), body)
}

func (c content) check(what, mediaType string, body []byte) []string {
	media, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return []string{fmt.Sprintf("the media type %q of the %s cannot be read: %v", mediaType, what, err)}
	}
	schema, ok := c[media]
	if !ok {
		return []string{fmt.Sprintf("the %s is %s, which the document does not name", what, media)}
	}
	if schema == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return []string{fmt.Sprintf("the %s is not JSON: %v", what, err)}
	}
	if err := schema.Validate(value); err != nil {
		return []string{fmt.Sprintf("the %s is not as the document says: %s", what, reason(err))}
	}
	return nil
}

// reason is the error without the values of one exchange, so that the same mistake makes the same line.
func reason(err error) string {
	invalid, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return err.Error()
	}
	for len(invalid.Causes) > 0 {
		invalid = invalid.Causes[0]
	}
	text, err := json.Marshal(invalid.BasicOutput())
	if err != nil {
		return err.Error()
	}
	return string(text)
}
