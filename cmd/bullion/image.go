package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bullion/cmd/bullion/internal/glance"
	"bullion/internal/images"
)

func (a *app) imageCommand() *cobra.Command {
	return group("image", "Work with images",
		a.imageCreate(), a.imageUpload(), a.imageList(), a.imageShow(), a.imageSet(), a.imageUnset(), a.imageSave(), a.imageDelete(),
		a.imageShare(), a.imageUnshare(), a.imageMembers(), a.imageAnswer("accept", "accepted"), a.imageAnswer("reject", "rejected"), a.imageHistory(),
		a.imageCancelImport(),
		a.imageAction("deactivate", "Keep everyone but administrators from downloading an image"),
		a.imageAction("reactivate", "Let people download a deactivated image again"))
}

func (a *app) imageShow() *cobra.Command {
	return &cobra.Command{
		Use: "show IMAGE", Short: "Show everything about an image", Args: exactly(1, "an image, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			i, err := api.Find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			v, err := api.Verdict(cmd.Context(), i.ID)
			if err != nil {
				return err
			}
			return a.show(append(imageRecord(i), verdictRecord(v)...), i.ID, examined{i, v})
		},
	}
}

func (a *app) imageAction(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " IMAGE…", Short: short, Args: atLeast(1, "an image, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			return a.each(cmd.Context(), args, verb, func(ref string) error {
				i, err := api.Find(cmd.Context(), ref)
				if err != nil {
					return err
				}
				if err := api.Action(cmd.Context(), i.ID, verb); err != nil {
					return err
				}
				a.note("%sd %s.", strings.ToUpper(verb[:1])+verb[1:], clean(named(i)))
				return nil
			})
		},
	}
}

func (a *app) imageCancelImport() *cobra.Command {
	return &cobra.Command{
		Use: "cancel-import IMAGE…", Short: "Stop the service fetching an image from an address", Args: atLeast(1, "an image, by name or id"),
		Long: "Stop the service fetching an image from an address. The image is queued again and takes another import, or a file.",
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			return a.each(cmd.Context(), args, "cancel the import of", func(ref string) error {
				i, err := api.Find(cmd.Context(), ref)
				if err != nil {
					return err
				}
				if err := api.CancelImport(cmd.Context(), i.ID); err != nil {
					return err
				}
				a.note("The import of %s is cancelled.", clean(named(i)))
				return nil
			})
		},
	}
}

// exactly and atLeast check the number of arguments, and say what is missing.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return fmt.Errorf("%q takes %s, not %d arguments", cmd.CommandPath(), what, len(args))
	}
}

func atLeast(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= n {
			return nil
		}
		return fmt.Errorf("%q needs %s", cmd.CommandPath(), what)
	}
}

func atMost(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= n {
			return nil
		}
		return fmt.Errorf("%q takes %s, not %d arguments", cmd.CommandPath(), what, len(args))
	}
}

// attributes are the flags that describe an image; create and set share them.
type attributes struct {
	name, description           string
	diskFormat, containerFormat string
	owner                       string
	minDisk, minRAM             int64
	visibility                  map[string]*bool
	protected, unprotected      bool
	hidden, unhidden            bool
	properties, tags            []string
	flags                       *pflag.FlagSet
}

var visibilities = []string{"public", "private", "shared", "community"}

func (t *attributes) add(f *pflag.FlagSet) {
	t.flags = f
	f.StringVar(&t.description, "description", "", "what the image is, in your words")
	f.Int64Var(&t.minDisk, "min-disk", 0, "smallest disk that can hold it, in GiB")
	f.Int64Var(&t.minRAM, "min-ram", 0, "least memory that can run it, in MiB")
	f.StringVar(&t.owner, "owner", "", "project that owns it (administrators)")
	t.visibility = map[string]*bool{}
	for _, v := range visibilities {
		t.visibility[v] = f.Bool(v, false, map[string]string{
			"public":    "everyone can see and use it",
			"private":   "only its project can see it",
			"shared":    "its project, and those that it is shared with (the default)",
			"community": "everyone can use it, and nobody finds it in a list",
		}[v])
	}
	f.BoolVar(&t.protected, "protected", false, "refuse to delete it")
	f.BoolVar(&t.hidden, "hidden", false, "leave it out of lists")
	f.StringArrayVar(&t.properties, "property", nil, "custom property, KEY=VALUE; repeat for more")
	f.StringArrayVar(&t.tags, "tag", nil, "tag; repeat for more")
}

// values are the attributes that were given, by the API's names. Tags are left to the caller, who knows whether to add or to replace.
func (t *attributes) values() (map[string]any, error) {
	v := map[string]any{}
	given := func(flag, name string, value any) {
		if f := t.flags.Lookup(flag); f != nil && f.Changed {
			v[name] = value
		}
	}
	given("name", "name", t.name)
	given("description", "description", t.description)
	given("owner", "owner", t.owner)
	given("min-disk", "min_disk", t.minDisk)
	given("min-ram", "min_ram", t.minRAM)
	given("disk-format", "disk_format", t.diskFormat)
	given("container-format", "container_format", t.containerFormat)
	if t.minDisk < 0 || t.minRAM < 0 {
		return nil, misuse("--min-disk and --min-ram must not be negative")
	}
	for _, name := range visibilities {
		if *t.visibility[name] {
			if other, taken := v["visibility"]; taken {
				return nil, misuse("--%s and --%s exclude each other", other, name)
			}
			v["visibility"] = name
		}
	}
	switch {
	case t.protected && t.unprotected:
		return nil, misuse("--protected and --unprotected exclude each other")
	case t.hidden && t.unhidden:
		return nil, misuse("--hidden and --unhidden exclude each other")
	case t.protected || t.unprotected:
		v["protected"] = t.protected
	}
	if t.hidden || t.unhidden {
		v["os_hidden"] = t.hidden
	}
	for _, p := range t.properties {
		key, value, ok := strings.Cut(p, "=")
		switch {
		case !ok || key == "":
			return nil, misuse("--property takes KEY=VALUE; it is %q", p)
		case images.Base(key):
			return nil, misuse("%s is not a custom property, so --property cannot set it", key)
		}
		v[key] = value
	}
	return v, nil
}

// oneOf checks the value of a flag.
func oneOf(flag, value string, allowed []string) error {
	for _, a := range allowed {
		if a == value {
			return nil
		}
	}
	return misuse("--%s must be one of %s; it is %q", flag, strings.Join(allowed, ", "), value)
}

// change is the step that gives a name a value. What every image has is replaced, and the rest is added.
func change(name string, value any) glance.Change {
	if images.Base(name) {
		return glance.Change{Op: "replace", Path: "/" + name, Value: value}
	}
	return glance.Set(name, value)
}
