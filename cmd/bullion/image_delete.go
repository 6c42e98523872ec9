package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"bullion/cmd/bullion/internal/glance"
)

func (a *app) imageDelete() *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use: "delete IMAGE…", Short: "Delete images for good", Args: atLeast(1, "an image, by name or id"),
		Long: `Delete images for good: there is no way back. On a terminal it asks first, unless --yes is given. When one image
cannot be deleted it goes on with the others and ends with status 1.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			found := map[string]*glance.Image{}
			var names []string
			for _, ref := range args {
				i, err := api.Find(cmd.Context(), ref)
				if cmd.Context().Err() != nil {
					return err
				}
				if err == nil {
					found[ref] = i
					names = append(names, fmt.Sprintf("%s, %s, %s", clean(named(i)), i.Status, text(bytesOf(sizeOrZero(i)), true)))
				}
			}
			if !yes && len(names) > 0 && a.interactive() {
				question := fmt.Sprintf("Delete image %s for good?", strings.Join(names, ""))
				if len(names) > 1 {
					question = fmt.Sprintf("  %s\nDelete these %d images for good?", strings.Join(names, "\n  "), len(names))
				}
				ok, err := a.confirm(cmd.Context(), question)
				if err != nil {
					return err
				}
				if !ok {
					return errors.New("nothing was deleted")
				}
			}
			return a.each(cmd.Context(), args, "delete", func(ref string) error {
				i := found[ref]
				if i == nil {
					_, err := api.Find(cmd.Context(), ref) // for its error; it may also have become one of a kind
					if err == nil {
						err = fmt.Errorf("image %s appeared just now; delete it again", ref)
					}
					return err
				}
				if err := api.Delete(cmd.Context(), i.ID); err != nil {
					return err
				}
				a.note("Deleted %s.", clean(named(i)))
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func sizeOrZero(i *glance.Image) *int64 {
	if i.Size == nil {
		return new(int64)
	}
	return i.Size
}

// each does one thing after another and goes on after failures. The error says how many failed when there was more than one thing.
func (a *app) each(ctx context.Context, refs []string, verb string, do func(ref string) error) error {
	failed := 0
	for _, ref := range refs {
		err := do(ref)
		switch {
		case err == nil:
		case ctx.Err() != nil || len(refs) == 1:
			return err
		default:
			failed++
			fmt.Fprintln(a.err, "Error: "+sentence(clean(err.Error(), '\n')))
		}
	}
	if failed > 0 {
		return fmt.Errorf("could not %s %d of %d images", verb, failed, len(refs))
	}
	return nil
}
