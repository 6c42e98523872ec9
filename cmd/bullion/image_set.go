package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"bullion/cmd/bullion/internal/glance"
	"bullion/internal/images"
)

func (a *app) imageSet() *cobra.Command {
	t := &attributes{}
	cmd := &cobra.Command{
		Use: "set IMAGE", Short: "Change what is recorded about an image", Args: exactly(1, "an image, by name or id"),
		Example: `  bullion image set debian-13 --public --protected --property os_distro=debian --tag golden`,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := t.values()
			if err != nil {
				return err
			}
			if len(v) == 0 && len(t.tags) == 0 {
				return misuse("say what to change, such as --name or --property")
			}
			for flag, name := range map[string]string{"disk-format": "disk_format", "container-format": "container_format"} {
				if value, ok := v[name].(string); ok {
					allowed := images.DiskFormats
					if name == "container_format" {
						allowed = images.ContainerFormats
					}
					if err := oneOf(flag, value, allowed); err != nil {
						return err
					}
				}
			}
			return a.change(cmd, args[0], func(i *glance.Image) (changes []glance.Change, err error) {
				for _, name := range slices.Sorted(maps.Keys(v)) {
					changes = append(changes, change(name, v[name]))
				}
				if len(t.tags) > 0 {
					tags := slices.Clone(i.Tags)
					for _, tag := range t.tags {
						if !slices.Contains(tags, tag) {
							tags = append(tags, tag)
						}
					}
					changes = append(changes, change("tags", tags))
				}
				return changes, nil
			})
		},
	}
	t.add(cmd.Flags())
	cmd.Flags().BoolVar(&t.unprotected, "unprotected", false, "allow to delete it")
	cmd.Flags().BoolVar(&t.unhidden, "unhidden", false, "show it in lists")
	cmd.Flags().StringVar(&t.name, "name", "", "new name")
	cmd.Flags().StringVar(&t.diskFormat, "disk-format", "", "format of its file, before there is one")
	cmd.Flags().StringVar(&t.containerFormat, "container-format", "", "container of its file, before there is one")
	return cmd
}

func (a *app) imageUnset() *cobra.Command {
	var properties, tags []string
	var description bool
	cmd := &cobra.Command{
		Use: "unset IMAGE", Short: "Remove properties or tags of an image", Args: exactly(1, "an image, by name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if description {
				properties = append(properties, "description")
			}
			if len(properties) == 0 && len(tags) == 0 {
				return misuse("say what to remove, with --property, --tag or --description")
			}
			return a.change(cmd, args[0], func(i *glance.Image) (changes []glance.Change, err error) {
				for _, p := range properties {
					if _, ok := i.Properties[p]; !ok {
						return nil, fmt.Errorf("image %s has no property %q; it has %s", named(i), p, orNone(slices.Sorted(maps.Keys(i.Properties))))
					}
					changes = append(changes, glance.Unset(p))
				}
				left := slices.Clone(i.Tags)
				for _, tag := range tags {
					at := slices.Index(left, tag)
					if at < 0 {
						return nil, fmt.Errorf("image %s has no tag %q; it has %s", named(i), tag, orNone(left))
					}
					left = slices.Delete(left, at, at+1)
				}
				if len(tags) > 0 {
					changes = append(changes, change("tags", append([]string{}, left...)))
				}
				return changes, nil
			})
		},
	}
	cmd.Flags().StringArrayVar(&properties, "property", nil, "property to remove; repeat for more")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "tag to remove; repeat for more")
	cmd.Flags().BoolVar(&description, "description", false, "remove the description")
	return cmd
}

// change finds an image, makes changes to it that depend on what it is, and shows the result.
func (a *app) change(cmd *cobra.Command, ref string, changes func(*glance.Image) ([]glance.Change, error)) error {
	api, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	i, err := api.Find(cmd.Context(), ref)
	if err != nil {
		return err
	}
	list, err := changes(i)
	if err != nil {
		return err
	}
	if i, err = api.Patch(cmd.Context(), i.ID, list); err != nil {
		return err
	}
	return a.showImage(i)
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return text(list, true)
}
