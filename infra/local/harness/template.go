package harness

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Template is what the harness reads of template.yaml.
type Template struct {
	Functions map[string]Function // by the end of their names: images, uploads
	Routes    []Route
}

// Function is one function as the template defines it.
type Function struct {
	Environment map[string]string
	Timeout     int    // seconds
	Retries     int    // of an event that it failed on
	OnFailure   string // the queue, by its name in the template, for events that it failed on to the end; "" for none
}

// Route is one method of one path of the API, served by a function.
type Route struct {
	Path     string // as /v2/images/{id}
	Method   string // ANY for all that have no route of their own
	Function string
}

// ReadTemplate reads a template whose references have the values, by Ref name ("Table") or GetAtt name ("Distribution.DomainName"). Parameters have their
// defaults, and no condition holds. A reference without a value is an error that names it.
func ReadTemplate(file string, values map[string]string) (*Template, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	type environment struct {
		Variables map[string]yaml.Node `yaml:"Variables"`
	}
	var doc struct {
		Parameters map[string]struct {
			Default string `yaml:"Default"`
		} `yaml:"Parameters"`
		Globals struct {
			Function struct {
				Environment environment `yaml:"Environment"`
			} `yaml:"Function"`
		} `yaml:"Globals"`
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	r := resolver{}
	for name, p := range doc.Parameters {
		r[name] = p.Default
	}
	for name, value := range values {
		r[name] = value
	}
	t := &Template{Functions: map[string]Function{}}
	for id, resource := range doc.Resources {
		switch resource.Type {
		case "AWS::Serverless::Function":
			var p struct {
				FunctionName yaml.Node   `yaml:"FunctionName"`
				Timeout      int         `yaml:"Timeout"`
				Environment  environment `yaml:"Environment"`
				Events       struct {
					Retries     *int `yaml:"MaximumRetryAttempts"`
					Destination struct {
						OnFailure struct {
							Destination yaml.Node `yaml:"Destination"`
						} `yaml:"OnFailure"`
					} `yaml:"DestinationConfig"`
				} `yaml:"EventInvokeConfig"`
			}
			if err := resource.Properties.Decode(&p); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", file, id, err)
			}
			f := Function{Environment: map[string]string{}, Timeout: p.Timeout, Retries: 2,
				OnFailure: strings.TrimSuffix(p.Events.Destination.OnFailure.Destination.Value, ".Arn")}
			if p.Events.Retries != nil {
				f.Retries = *p.Events.Retries
			}
			for _, variables := range []map[string]yaml.Node{doc.Globals.Function.Environment.Variables, p.Environment.Variables} {
				for name, node := range variables {
					if f.Environment[name], err = r.text(&node); err != nil {
						return nil, fmt.Errorf("%s: %s: %s: %w", file, id, name, err)
					}
				}
			}
			name, err := r.text(&p.FunctionName)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", file, id, err)
			}
			t.Functions[name[strings.LastIndex(name, "-")+1:]] = f
		case "AWS::Serverless::Api":
			if t.Routes, err = routes(&resource.Properties); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", file, id, err)
			}
		}
	}
	if len(t.Functions) == 0 || len(t.Routes) == 0 {
		return nil, fmt.Errorf("%s has %d functions and %d routes: this is not Bullion's template", file, len(t.Functions), len(t.Routes))
	}
	return t, nil
}

var invoked = regexp.MustCompile(`function:\$\{AWS::StackName\}-([a-z]+)/invocations$`)

func routes(properties *yaml.Node) ([]Route, error) {
	var p struct {
		DefinitionBody struct {
			Paths map[string]map[string]struct {
				Integration struct {
					URI yaml.Node `yaml:"uri"`
				} `yaml:"x-amazon-apigateway-integration"`
			} `yaml:"paths"`
		} `yaml:"DefinitionBody"`
	}
	if err := properties.Decode(&p); err != nil {
		return nil, err
	}
	var all []Route
	for path, methods := range p.DefinitionBody.Paths {
		for method, m := range methods {
			name := invoked.FindStringSubmatch(m.Integration.URI.Value)
			if name == nil {
				return nil, fmt.Errorf("%s %s: no function in %q", method, path, m.Integration.URI.Value)
			}
			if method == "x-amazon-apigateway-any-method" {
				method = "any"
			}
			all = append(all, Route{path, strings.ToUpper(method), name[1]})
		}
	}
	return all, nil
}

// resolver has the values of references.
type resolver map[string]string

var reference = regexp.MustCompile(`\$\{([A-Za-z0-9:.]+)\}`)

func (r resolver) text(n *yaml.Node) (string, error) {
	switch n.Tag {
	case "!Ref", "!GetAtt":
		return r.value(n.Value)
	case "!Sub":
		var failed error
		text := reference.ReplaceAllStringFunc(n.Value, func(ref string) string {
			v, err := r.value(ref[2 : len(ref)-1])
			if err != nil {
				failed = err
			}
			return v
		})
		return text, failed
	case "!If":
		if len(n.Content) != 3 {
			return "", fmt.Errorf("line %d: !If takes three values", n.Line)
		}
		return r.text(n.Content[2])
	}
	if n.Kind != yaml.ScalarNode {
		return "", fmt.Errorf("line %d: %s is not understood here", n.Line, n.Tag)
	}
	return n.Value, nil
}

func (r resolver) value(name string) (string, error) {
	v, ok := r[name]
	if !ok {
		return "", fmt.Errorf("%s has no value: give one to ReadTemplate", name)
	}
	return v, nil
}
