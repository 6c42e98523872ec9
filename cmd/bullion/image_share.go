package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bullion/cmd/bullion/internal/glance"
)

var memberColumns = []string{"member_id", "status", "created_at", "updated_at"}

func memberRecord(m glance.Member) record {
	return record{{"member_id", m.ProjectID}, {"image_id", m.ImageID}, {"status", m.Status}, {"created_at", m.CreatedAt}, {"updated_at", m.UpdatedAt}}
}

// onImage is a command about one image.
func (a *app) onImage(use, short, what string, args int, do func(cmd *cobra.Command, api *glance.Client, i *glance.Image, rest []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactly(args, what),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			i, err := api.Find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return do(cmd, api, i, args[1:])
		},
	}
}

func (a *app) imageShare() *cobra.Command {
	return a.onImage("share IMAGE PROJECT", "Let another project see and use an image", "an image and the id of a project", 2,
		func(cmd *cobra.Command, api *glance.Client, i *glance.Image, rest []string) error {
			m, err := api.Share(cmd.Context(), i.ID, rest[0])
			if err != nil {
				return err
			}
			if m.Status == "pending" {
				a.note("The project sees it in lists after: bullion image accept %s", i.ID)
			}
			return a.show(memberRecord(m), m.ProjectID, nil)
		})
}

func (a *app) imageUnshare() *cobra.Command {
	return a.onImage("unshare IMAGE PROJECT", "Take an image away from another project", "an image and the id of a project", 2,
		func(cmd *cobra.Command, api *glance.Client, i *glance.Image, rest []string) error {
			if err := api.Unshare(cmd.Context(), i.ID, rest[0]); err != nil {
				return err
			}
			a.note("Project %s no longer has image %s.", clean(rest[0]), clean(named(i)))
			return nil
		})
}

func (a *app) imageMembers() *cobra.Command {
	return a.onImage("members IMAGE", "List the projects that an image is shared with", "an image, by name or id", 1,
		func(cmd *cobra.Command, api *glance.Client, i *glance.Image, _ []string) error {
			members, err := api.Members(cmd.Context(), i.ID)
			if err != nil {
				return err
			}
			if len(members) == 0 && a.format == "table" {
				a.note("Image %s is shared with no project.", clean(named(i)))
				return nil
			}
			records := make([]record, len(members))
			for n, m := range members {
				records[n] = memberRecord(m)
			}
			return a.list(records, memberColumns, func(n int) string { return members[n].ProjectID }, append([]glance.Member{}, members...))
		})
}

// imageAnswer is accept or reject: what your project says to an image that was shared with it.
func (a *app) imageAnswer(verb, status string) *cobra.Command {
	short := map[string]string{"accept": "Have an image that was shared with you in your lists", "reject": "Keep an image that was shared with you out of your lists"}[verb]
	project := ""
	cmd := a.onImage(verb+" IMAGE", short, "an image, by name or id", 1,
		func(cmd *cobra.Command, api *glance.Client, i *glance.Image, _ []string) error {
			if project == "" {
				me, err := api.WhoAmI()
				if err != nil {
					return err
				}
				if project = me.ProjectID; project == "" {
					return fmt.Errorf("you are not logged in to a project; name one with --project")
				}
			}
			m, err := api.Answer(cmd.Context(), i.ID, project, status)
			if err != nil {
				return err
			}
			return a.show(memberRecord(m), m.ProjectID, nil)
		})
	cmd.Flags().StringVar(&project, "project", "", "id of the project that answers (default: yours)")
	return cmd
}
