package api

import (
	"net/http"

	"bullion/internal/images"
)

// schema is a JSON schema in the draft of Glance. Clients fetch it before they send anything: glanceclient knows a read-only attribute by readOnly and
// a custom property by is_base: false.
//
// The image has no property stores here although the image shows one: glanceclient would make an option of it that its own option of that name conflicts with, and
// would fail from then on, since it keeps the schema in a file.
type schema map[string]any

func text(description string, more ...schema) schema {
	return with(schema{"type": "string", "description": description}, more...)
}

func textOrNull(description string, more ...schema) schema {
	return with(schema{"type": []string{"null", "string"}, "description": description}, more...)
}

func integer(description string, more ...schema) schema {
	return with(schema{"type": "integer", "description": description}, more...)
}

func with(s schema, more ...schema) schema {
	for _, m := range more {
		for k, v := range m {
			s[k] = v
		}
	}
	return s
}

func oneOf(values ...string) schema { return schema{"enum": values} }

func atMost(n int) schema { return schema{"maxLength": n} }

// orNull is an enumeration that may also be null.
func orNull(values []string) schema {
	list := []any{nil}
	for _, v := range values {
		list = append(list, v)
	}
	return schema{"enum": list}
}

var (
	readOnly = schema{"readOnly": true}
	notBase  = schema{"is_base": false}
	uuid     = schema{"pattern": "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"}
	dateTime = schema{"format": "date-time"}
)

var imageSchema = schema{
	"name": "image",
	"properties": schema{
		"id":               text("The image's id.", uuid),
		"name":             textOrNull("A name; it need not be unique.", atMost(images.MaxName)),
		"status":           text("Where the image is in its life.", readOnly, oneOf("queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated")),
		"visibility":       text("Who may see the image.", oneOf("community", "public", "private", "shared")),
		"protected":        schema{"type": "boolean", "description": "Whether the image cannot be deleted."},
		"os_hidden":        schema{"type": "boolean", "description": "Whether the image is left out of lists."},
		"checksum":         textOrNull("MD5 of the bytes, in hex.", readOnly, atMost(32)),
		"os_hash_algo":     textOrNull("The algorithm of os_hash_value.", readOnly, atMost(64)),
		"os_hash_value":    textOrNull("The hash of the bytes, in hex.", readOnly, atMost(128)),
		"owner":            textOrNull("The project to which the image belongs.", atMost(images.MaxName)),
		"size":             schema{"type": []string{"null", "integer"}, "description": "Bytes of the file.", "readOnly": true},
		"virtual_size":     schema{"type": []string{"null", "integer"}, "description": "Bytes of the disk that a guest sees.", "readOnly": true},
		"container_format": schema{"type": []string{"null", "string"}, "description": "What the disk is wrapped in.", "enum": orNull(images.ContainerFormats)["enum"]},
		"disk_format":      schema{"type": []string{"null", "string"}, "description": "The format of the disk.", "enum": orNull(images.DiskFormats)["enum"]},
		"created_at":       text("When the record was made.", readOnly),
		"updated_at":       text("When the record last changed.", readOnly),
		"tags":             schema{"type": "array", "description": "Words to find the image by.", "items": schema{"type": "string", "maxLength": images.MaxName}},
		"direct_url":       text("Where the bytes are; never shown here.", readOnly),
		"min_ram":          integer("MiB of memory that a machine needs."),
		"min_disk":         integer("GiB of disk that a machine needs."),
		"self":             text("The path of this record.", readOnly),
		"file":             text("The path of the bytes.", readOnly),
		"schema":           text("The path of this schema.", readOnly),

		"kernel_id":                textOrNull("The image that is the kernel of an AMI.", notBase, uuid),
		"ramdisk_id":               textOrNull("The image that is the ramdisk of an AMI.", notBase, uuid),
		"instance_uuid":            text("The machine of which this is a snapshot.", notBase),
		"architecture":             text("The processor architecture, such as x86_64.", notBase),
		"os_distro":                text("The distribution, such as debian.", notBase),
		"os_version":               text("Its version as the distributor gives it.", notBase),
		"description":              text("What the image is for.", notBase),
		"cinder_encryption_key_id": text("The key of an encrypted volume.", notBase),
		"cinder_encryption_key_deletion_policy": text("What becomes of that key when the image is deleted.", notBase,
			oneOf("on_image_deletion", "do_not_delete")),
	},
	"additionalProperties": schema{"type": "string"},
	"links": []schema{
		{"rel": "self", "href": "{self}"},
		{"rel": "enclosure", "href": "{file}"},
		{"rel": "describedby", "href": "{schema}"},
	},
}

var memberSchema = schema{
	"name": "member",
	"properties": schema{
		"member_id":  text("The project with which the image is shared."),
		"image_id":   text("The image.", uuid),
		"status":     text("What that project says to it.", oneOf("pending", "accepted", "rejected")),
		"created_at": text("When the sharing began."),
		"updated_at": text("When the status last changed."),
		"schema":     text("The path of this schema.", readOnly),
	},
}

var taskSchema = schema{
	"name": "task",
	"properties": schema{
		"id":      text("The task's id: that of its image.", uuid),
		"type":    text("What the task does.", oneOf("import", "api_image_import", "location_import")),
		"status":  text("How far it is.", oneOf("pending", "processing", "success", "failure")),
		"input":   schema{"type": []string{"null", "object"}, "description": "What was asked."},
		"result":  schema{"type": []string{"null", "object"}, "description": "What came of it."},
		"owner":   text("The project of the image."),
		"message": text("Why it failed."),

		"bullion_progress": schema{"type": []string{"null", "object"}, "description": "How far it is, while it runs."},
		"image_id":         text("The image."),
		"request_id":       text("The request that began it."),
		"user_id":          text("Who began it."),
		"expires_at":       textOrNull("When it is forgotten: with its image.", dateTime),
		"created_at":       text("When it began.", dateTime),
		"updated_at":       text("When it last changed.", dateTime),
		"self":             schema{"type": "string"},
		"schema":           schema{"type": "string"},
	},
}

// listOf is the schema of a page.
func listOf(name, items string, of schema) schema {
	item := schema{}
	for k, v := range of {
		item[k] = v
	}
	return schema{
		"name": name,
		"properties": schema{
			items:    schema{"type": "array", "items": item},
			"first":  schema{"type": "string"},
			"next":   schema{"type": "string"},
			"schema": schema{"type": "string"},
		},
		"links": []schema{
			{"rel": "first", "href": "{first}"},
			{"rel": "next", "href": "{next}"},
			{"rel": "describedby", "href": "{schema}"},
		},
	}
}

// schemas are the documents by their path below /v2/schemas/.
var schemas = map[string]schema{
	"image":   imageSchema,
	"images":  listOf("images", "images", imageSchema),
	"member":  memberSchema,
	"members": listOf("members", "members", memberSchema),
	"task":    taskSchema,
	"tasks":   listOf("tasks", "tasks", taskSchema),
}

func (a *api) showSchema(w http.ResponseWriter, r *http.Request) error {
	s, ok := schemas[r.PathValue("name")]
	if !ok {
		return images.Errorf(images.NotFound, "There is no schema %.80q.", r.PathValue("name"))
	}
	writeJSON(w, http.StatusOK, s)
	return nil
}
