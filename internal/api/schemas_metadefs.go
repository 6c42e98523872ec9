package api

// Schemas of metadata definitions.

var (
	metadefTimes = schema{
		"created_at": text("When it was made.", readOnly, dateTime),
		"updated_at": text("When it last changed.", readOnly, dateTime),
		"self":       text("Its path.", readOnly),
		"schema":     text("The path of this schema.", readOnly),
	}

	propertySchema = schema{
		"name":                 "property",
		"additionalProperties": false,
		"required":             []string{"name", "title", "type"},
		"properties": schema{
			"name":        text("The name of the property.", atMost(80)),
			"title":       text("What people call it."),
			"description": text("What it means."),
			"type":        text("The JSON type of its values.", oneOf("array", "boolean", "integer", "number", "object", "string")),
			"operators":   schema{"type": "array", "items": schema{"type": "string"}},
			"enum":        schema{"type": "array"},
			"default":     schema{"description": "The value when it is not set."},
			"minimum":     schema{"type": "number"}, "maximum": schema{"type": "number"},
			"minLength": schema{"type": "integer", "minimum": 0}, "maxLength": schema{"type": "integer", "minimum": 0},
			"pattern":  schema{"type": "string", "format": "regex"},
			"format":   schema{"type": "string"},
			"minItems": schema{"type": "integer", "minimum": 0}, "maxItems": schema{"type": "integer", "minimum": 0},
			"uniqueItems":     schema{"type": "boolean", "default": false},
			"additionalItems": schema{"type": "boolean"},
			"items":           schema{"type": "object"},
			"readonly":        schema{"type": "boolean"},
			"required":        schema{"type": "array", "items": schema{"type": "string"}},
		},
	}

	namespaceSchema = schema{
		"name":                 "namespace",
		"additionalProperties": false,
		"required":             []string{"namespace"},
		"properties": with(schema{
			"namespace":    text("The name, which is unique.", atMost(80)),
			"display_name": text("What people call it.", atMost(80)),
			"description":  text("What it is for.", atMost(500)),
			"visibility":   text("Who may see it.", oneOf("public", "private")),
			"protected":    schema{"type": "boolean", "description": "Whether it cannot be deleted."},
			"owner":        text("The project to which it belongs.", atMost(255)),
			"resource_type_associations": schema{"type": "array", "items": schema{"type": "object", "properties": schema{
				"name": schema{"type": "string"}, "prefix": schema{"type": "string"}, "properties_target": schema{"type": "string"}}}},
			"properties": schema{"type": "object", "additionalProperties": schema{"type": "object"}},
			"objects":    schema{"type": "array", "items": schema{"type": "object"}},
			"tags":       schema{"type": "array", "items": schema{"type": "object", "properties": schema{"name": schema{"type": "string"}}}},
		}, metadefTimes),
	}

	metadefObjectSchema = schema{
		"name":                 "object",
		"additionalProperties": false,
		"required":             []string{"name"},
		"properties": with(schema{
			"name":        text("The name of the group.", atMost(80)),
			"description": text("What it is for.", atMost(500)),
			"required":    schema{"type": "array", "items": schema{"type": "string"}},
			"properties":  schema{"type": "object", "additionalProperties": schema{"type": "object"}},
		}, metadefTimes),
	}

	metadefTagSchema = schema{
		"name":                 "tag",
		"additionalProperties": false,
		"required":             []string{"name"},
		"properties": schema{
			"name":       text("The tag.", atMost(80)),
			"created_at": text("When it was made.", readOnly, dateTime),
			"updated_at": text("When it last changed.", readOnly, dateTime),
		},
	}

	associationSchema = schema{
		"name":                 "resource_type_association",
		"additionalProperties": false,
		"required":             []string{"name"},
		"properties": schema{
			"name":              text("The type of resource.", atMost(80)),
			"prefix":            text("What goes before the names of properties on it.", atMost(80)),
			"properties_target": text("Where on the resource they go.", atMost(80)),
			"created_at":        text("When it was made.", readOnly, dateTime),
			"updated_at":        text("When it last changed.", readOnly, dateTime),
		},
	}
)

func init() {
	for path, s := range map[string]schema{
		"namespace": namespaceSchema, "namespaces": listOf("namespaces", "namespaces", namespaceSchema),
		"object": metadefObjectSchema, "objects": listOf("objects", "objects", metadefObjectSchema),
		"tag": metadefTagSchema, "tags": listOf("tags", "tags", metadefTagSchema),
		"property":       propertySchema,
		"properties":     {"name": "properties", "properties": schema{"properties": schema{"type": "object", "additionalProperties": schema{"type": "object"}}, "schema": schema{"type": "string"}}},
		"resource_type":  associationSchema,
		"resource_types": {"name": "resource_type_associations", "properties": schema{"resource_type_associations": schema{"type": "array", "items": associationSchema}}},
	} {
		schemas["metadefs/"+path] = s
	}
}
