package harness

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Template is template.yaml as CloudFormation would read it: conditions decided, references resolved.
type Template struct {
	Resources map[string]Resource // those whose condition holds
	Functions map[string]Function // by the end of their names: images, uploads
	Routes    []Route
	Responses map[string]GatewayResponse // by type, as REQUEST_TOO_LARGE
}

// GatewayResponse is what API Gateway says itself.
type GatewayResponse struct {
	Status  int // 0: that of the occasion
	Headers map[string]string
	Body    string // JSON, with $context.error.messageString and $context.error.responseType
}

// Resource is one resource, as plain values.
type Resource struct {
	Type       string
	Properties map[string]any
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

// ReadTemplate reads a template. The values are those of parameters, which else have their defaults, and of references, by Ref name ("Table") or GetAtt name
// ("Distribution.DomainName"). A reference without a value stays as ${Table}; in the environment of a function it is an error that names it.
func ReadTemplate(file string, values map[string]string) (*Template, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Parameters map[string]struct {
			Default string `yaml:"Default"`
		} `yaml:"Parameters"`
		Conditions map[string]yaml.Node `yaml:"Conditions"`
		Globals    struct {
			Function yaml.Node `yaml:"Function"`
		} `yaml:"Globals"`
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Condition  string    `yaml:"Condition"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	r := resolver{values: map[string]string{}, conditions: doc.Conditions}
	for name, p := range doc.Parameters {
		r.values[name] = p.Default
	}
	for name, value := range values {
		r.values[name] = value
	}
	t := &Template{Resources: map[string]Resource{}, Functions: map[string]Function{}, Responses: map[string]GatewayResponse{}}
	globals, err := r.mapping(&doc.Globals.Function)
	if err != nil {
		return nil, fmt.Errorf("%s: Globals: %w", file, err)
	}
	for id, resource := range doc.Resources {
		if resource.Condition != "" {
			if holds, err := r.condition(resource.Condition); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", file, id, err)
			} else if !holds {
				continue
			}
		}
		p, err := r.mapping(&resource.Properties)
		if err == nil {
			t.Resources[id] = Resource{resource.Type, p}
			switch resource.Type {
			case "AWS::Serverless::Function":
				err = t.addFunction(globals, p)
			case "AWS::Serverless::Api":
				err = t.addAPI(p)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, id, err)
		}
	}
	if len(t.Functions) == 0 || len(t.Routes) == 0 {
		return nil, fmt.Errorf("%s has %d functions and %d routes: this is not Bullion's template", file, len(t.Functions), len(t.Routes))
	}
	return t, nil
}

func (t *Template) addFunction(globals, properties map[string]any) error {
	f := Function{Environment: map[string]string{}}
	for _, p := range []map[string]any{globals, properties} {
		environment, _ := p["Environment"].(map[string]any)
		variables, _ := environment["Variables"].(map[string]any)
		for name, value := range variables {
			f.Environment[name] = fmt.Sprint(value)
			if left := reference.FindString(f.Environment[name]); left != "" {
				return fmt.Errorf("%s: %s has no value: give one to ReadTemplate", name, left)
			}
		}
	}
	f.Timeout, _ = properties["Timeout"].(int)
	f.Retries = 2 // what Lambda does when nothing is said
	if events, has := properties["EventInvokeConfig"].(map[string]any); has {
		if retries, said := events["MaximumRetryAttempts"].(int); said {
			f.Retries = retries
		}
		destinations, _ := events["DestinationConfig"].(map[string]any)
		failure, _ := destinations["OnFailure"].(map[string]any)
		queue, _ := failure["Destination"].(string)
		f.OnFailure = strings.TrimSuffix(strings.TrimPrefix(queue, "${"), ".Arn}")
	}
	name := fmt.Sprint(properties["FunctionName"])
	t.Functions[name[strings.LastIndex(name, "-")+1:]] = f
	return nil
}

var invoked = regexp.MustCompile(`-([a-z]+)/invocations$`)

// addAPI reads the routes, and what API Gateway says itself.
func (t *Template) addAPI(properties map[string]any) error {
	body, _ := properties["DefinitionBody"].(map[string]any)
	responses, _ := body["x-amazon-apigateway-gateway-responses"].(map[string]any)
	for name, r := range responses {
		properties := r.(map[string]any)
		response := GatewayResponse{Headers: map[string]string{}}
		if status, has := properties["statusCode"].(string); has {
			var err error
			if response.Status, err = strconv.Atoi(status); err != nil {
				return fmt.Errorf("the status of %s: %w", name, err)
			}
		}
		parameters, _ := properties["responseParameters"].(map[string]any)
		for parameter, value := range parameters {
			header, isHeader := strings.CutPrefix(parameter, "gatewayresponse.header.")
			if text := fmt.Sprint(value); !isHeader || len(text) < 2 || text[0] != '\'' || text[len(text)-1] != '\'' {
				return fmt.Errorf("%s: %s: %v is not understood here", name, parameter, value)
			} else {
				response.Headers[header] = text[1 : len(text)-1]
			}
		}
		templates, _ := properties["responseTemplates"].(map[string]any)
		response.Body, _ = templates["application/json"].(string)
		t.Responses[name] = response
	}
	paths, _ := body["paths"].(map[string]any)
	for path, methods := range paths {
		for method, m := range methods.(map[string]any) {
			integration, _ := m.(map[string]any)["x-amazon-apigateway-integration"].(map[string]any)
			name := invoked.FindStringSubmatch(fmt.Sprint(integration["uri"]))
			if name == nil {
				return fmt.Errorf("%s %s: no function in %v", method, path, integration["uri"])
			}
			if method == "x-amazon-apigateway-any-method" {
				method = "any"
			}
			t.Routes = append(t.Routes, Route{path, strings.ToUpper(method), name[1]})
		}
	}
	return nil
}

// resolver evaluates what CloudFormation calls intrinsic functions, those that the template uses.
type resolver struct {
	values     map[string]string
	conditions map[string]yaml.Node
}

// nothing is AWS::NoValue: the property that has it is not there.
type nothing struct{}

var reference = regexp.MustCompile(`\$\{([A-Za-z0-9:.]+)\}`)

func (r resolver) mapping(n *yaml.Node) (map[string]any, error) {
	if n.IsZero() {
		return map[string]any{}, nil
	}
	v, err := r.value(n)
	if err != nil {
		return nil, err
	}
	m, isMap := v.(map[string]any)
	if !isMap {
		return nil, fmt.Errorf("line %d: not a mapping", n.Line)
	}
	return m, nil
}

func (r resolver) value(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!Ref", "!GetAtt":
		if n.Value == "AWS::NoValue" {
			return nothing{}, nil
		}
		return r.named("${" + n.Value + "}"), nil
	case "!Sub":
		return r.named(n.Value), nil
	case "!If":
		if len(n.Content) != 3 {
			return nil, fmt.Errorf("line %d: !If takes three values", n.Line)
		}
		holds, err := r.condition(n.Content[0].Value)
		if err != nil {
			return nil, err
		}
		if holds {
			return r.value(n.Content[1])
		}
		return r.value(n.Content[2])
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		return nil, fmt.Errorf("line %d: %s is not understood here", n.Line, n.Tag)
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for k := 0; k < len(n.Content); k += 2 {
			v, err := r.value(n.Content[k+1])
			if err != nil {
				return nil, err
			}
			if v != (nothing{}) {
				m[n.Content[k].Value] = v
			}
		}
		return m, nil
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			v, err := r.value(item)
			if err != nil {
				return nil, err
			}
			if v != (nothing{}) {
				list = append(list, v)
			}
		}
		return list, nil
	}
	var v any
	err := n.Decode(&v)
	return v, err
}

// named puts the values of references into a text.
func (r resolver) named(text string) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		if v, ok := r.values[ref[2:len(ref)-1]]; ok {
			return v
		}
		return ref
	})
}

func (r resolver) condition(name string) (bool, error) {
	n, ok := r.conditions[name]
	if !ok {
		return false, fmt.Errorf("there is no condition %s", name)
	}
	return r.holds(&n)
}

func (r resolver) holds(n *yaml.Node) (bool, error) {
	switch n.Tag {
	case "!Condition":
		return r.condition(n.Value)
	case "!Equals":
		if len(n.Content) == 2 {
			a, errA := r.value(n.Content[0])
			b, errB := r.value(n.Content[1])
			return a == b, errors.Join(errA, errB)
		}
	case "!Not":
		if len(n.Content) == 1 {
			v, err := r.holds(n.Content[0])
			return !v, err
		}
	case "!And", "!Or":
		for _, c := range n.Content {
			v, err := r.holds(c)
			if err != nil || v == (n.Tag == "!Or") {
				return v, err
			}
		}
		return n.Tag == "!And", nil
	}
	return false, fmt.Errorf("line %d: the condition %s is not understood here", n.Line, n.Tag)
}
