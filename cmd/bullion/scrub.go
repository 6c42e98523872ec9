package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bullion/cmd/bullion/internal/glance"
)

// scrubCommand compares records and objects, a page of the service after the other.
func (a *app) scrubCommand() *cobra.Command {
	var dry bool
	var after string
	c := &cobra.Command{
		Use: "scrub", Short: "Finish what was interrupted, and say whether the books balance (administrators)", Args: cobra.NoArgs,
		Long: `Compare every record with its bytes and all bytes with their records, and mend what does not balance: finish
deletes, end uploads whose time is over, start examinations and imports again that stopped, take up bytes of
which nobody heard, delete those that belong to no image. Bytes that are gone are only told.

The service does all of this by itself, on a schedule. The status is 1 when something does not balance and was
not mended.`,
		Example: "  bullion scrub --dry-run\n  bullion scrub --dry-run -f json | jq .findings",
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			sum := glance.Books{DryRun: dry, Findings: []glance.Finding{}}
			for begun := false; !begun || after != ""; begun = true {
				page, err := api.Scrub(cmd.Context(), dry, after)
				if err != nil {
					if after == "" {
						return err
					}
					return advise(err, "Go on where it stopped with: bullion scrub --after "+quoted(after))
				}
				sum.Images, sum.Objects, sum.Young = sum.Images+page.Images, sum.Objects+page.Objects, sum.Young+page.Young
				sum.Stored, sum.InFlight = sum.Stored+page.Stored, sum.InFlight+page.InFlight
				sum.Findings = append(sum.Findings, page.Findings...)
				after = page.Next
			}
			return a.showBooks(sum)
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "change nothing, only say what would be done")
	c.Flags().StringVar(&after, "after", "", "go on where an interrupted run stopped")
	return c
}

// showBooks lists what does not balance, a line for each, and then says what there is.
func (a *app) showBooks(b glance.Books) error {
	open := 0
	rows := make([]record, len(b.Findings))
	for n, f := range b.Findings {
		if !f.Fixed {
			open++
		}
		rows[n] = record{{"kind", f.Kind}, {"image_id", f.ImageID}, {"key", f.Key}, {"bytes", bytesOf(&f.Bytes)}, {"fixed", f.Fixed}, {"says", f.Says}}
	}
	if len(rows) > 0 || a.format == "json" {
		if err := a.list(rows, []string{"kind", "image_id", "bytes", "fixed", "says"}, func(n int) string { return b.Findings[n].ImageID }, b); err != nil {
			return err
		}
	}
	verdict := "The books balance"
	if mended := len(rows) - open; mended > 0 {
		verdict = fmt.Sprintf("Mended %d of %d", mended, len(rows))
	}
	sum := fmt.Sprintf("images %d, objects %d, stored %s, in flight %s", b.Images, b.Objects, humanBytes(b.Stored), humanBytes(b.InFlight))
	if b.Young > 0 {
		sum += fmt.Sprintf(", too young to judge %d", b.Young)
	}
	if open > 0 {
		return fmt.Errorf("the books do not balance, findings %d: %s", open, sum)
	}
	a.note("%s: %s.", verdict, sum)
	return nil
}
