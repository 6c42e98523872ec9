package main

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bullion/cmd/bullion/internal/glance"
)

func (a *app) imageList() *cobra.Command {
	var search, name, status, visibility, owner, member, diskFormat, order string
	var tags, properties []string
	var limit int
	var long, all, hidden bool
	cmd := &cobra.Command{
		Use: "list", Short: "List images", Args: cobra.NoArgs,
		Long: `List the images that you may see: those of your project, public ones, and those that were shared with you and accepted.

Community images of other projects are listed with --all or --visibility community, shares that wait for your answer with
--visibility shared --member-status pending.`,
		Example: `  bullion image list --search debian --sort size:desc
  bullion image list --status active --property os_distro=debian -f value -c id`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for key, value := range map[string]string{"name": name, "name_contains": search, "status": status, "visibility": visibility,
				"owner": owner, "member_status": member, "disk_format": diskFormat, "sort": order} {
				if value != "" {
					query.Set(key, value)
				}
			}
			switch {
			case limit < 0:
				return misuse("--limit must not be negative; it is %d", limit)
			case all && visibility != "":
				return misuse("--all and --visibility exclude each other")
			case all:
				query.Set("visibility", "all")
			case visibility != "":
				if err := oneOf("visibility", visibility, append([]string{"all"}, visibilities...)); err != nil {
					return err
				}
			}
			if hidden {
				query.Set("os_hidden", "true")
			}
			for _, t := range tags {
				query.Add("tag", t)
			}
			for _, p := range properties {
				key, value, ok := strings.Cut(p, "=")
				if !ok || key == "" {
					return misuse("--property takes KEY=VALUE; it is %q", p)
				}
				query.Set(key, value)
			}
			// The default page of other services is 25; a full one saves most of the requests.
			page := 1000
			if limit > 0 {
				page = min(page, limit)
			}
			query.Set("limit", strconv.Itoa(page))

			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			found := []*glance.Image{}
			for i, err := range api.List(cmd.Context(), query) {
				if err != nil {
					return err
				}
				if found = append(found, i); limit > 0 && len(found) == limit {
					break
				}
			}
			return a.listImages(found, long)
		},
	}
	f := cmd.Flags()
	f.StringVar(&search, "search", "", "images whose name contains this, in any case")
	f.StringVar(&name, "name", "", "images of exactly this name")
	f.StringVar(&status, "status", "", "images of this status, such as active or queued")
	f.StringVar(&visibility, "visibility", "", "public, private, shared, community or all")
	f.BoolVar(&all, "all", false, "everything that you may use, community images too")
	f.StringVar(&owner, "owner", "", "images of this project")
	f.StringVar(&member, "member-status", "", "with --visibility shared: pending, accepted, rejected or all")
	f.StringVar(&diskFormat, "disk-format", "", "images of this format")
	f.StringArrayVar(&tags, "tag", nil, "images with this tag; repeat for images with all of them")
	f.StringArrayVar(&properties, "property", nil, "images with this KEY=VALUE; repeat for images with all of them")
	f.BoolVar(&hidden, "hidden", false, "hidden images instead of the others")
	f.StringVar(&order, "sort", "", "keys such as name:asc,size:desc (default: created_at:desc)")
	f.IntVar(&limit, "limit", 0, "at most so many (default: all)")
	f.BoolVar(&long, "long", false, "show more columns")
	return cmd
}

func (a *app) listImages(found []*glance.Image, long bool) error {
	columns := imageColumns
	if long {
		columns = longColumns
	}
	records := make([]record, len(found))
	for n, i := range found {
		records[n] = imageRecord(i)
	}
	if len(found) == 0 && a.format == "table" {
		a.note("There are no such images.")
		return nil
	}
	return a.list(records, columns, func(n int) string { return found[n].ID }, found)
}
