package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bullion/cmd/bullion/internal/glance"
)

func (a *app) quotaCommand() *cobra.Command {
	return group("quota", "Show and set what projects may use (administrators)", a.quotaShow(), a.quotaSet(), a.quotaUnset())
}

// showQuota lists the figures; without a limit the cell is empty.
func (a *app) showQuota(q glance.Quota) error {
	row := func(name string, limit, used int64, bytes bool) record {
		amount := func(n int64) any {
			switch {
			case n < 0:
				return both{n, "unlimited"}
			case bytes:
				return bytesOf(&n)
			}
			return n
		}
		return record{{"figure", name}, {"limit", amount(limit)}, {"used", amount(used)}}
	}
	rows := []record{
		row("images", q.Quota.Images, q.Usage.Images, false),
		row("bytes", q.Quota.Bytes, q.Usage.Bytes+q.Usage.InFlight, true),
		row("in_flight", q.Quota.InFlight, q.Usage.InFlight, true),
		row("uploads", q.Quota.Uploads, q.Usage.Uploads, false),
		row("egress "+q.Egress.Month, -1, q.Egress.Bytes, true),
	}
	return a.list(rows, []string{"figure", "limit", "used"}, func(n int) string { return text(rows[n][1].value, false) }, q)
}

func (a *app) quotaShow() *cobra.Command {
	return &cobra.Command{
		Use: "show PROJECT", Short: "Show what a project may use, uses, and downloaded this month", Args: exactly(1, "the id of a project"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			q, err := api.Quota(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.showQuota(q)
		},
	}
}

func (a *app) quotaSet() *cobra.Command {
	var values [4]string
	c := &cobra.Command{
		Use: "set PROJECT", Short: "Set what a project may use; what is not named stays", Args: exactly(1, "the id of a project"),
		Example: "  bullion quota set --bytes 2T --images unlimited 4f0c6f3b5a5e4c6f8a5d1f2e3b4c5d6e",
		RunE: func(cmd *cobra.Command, args []string) error {
			amounts := [4]*int64{}
			for n, flag := range []string{"images", "bytes", "in-flight", "uploads"} {
				if !cmd.Flags().Changed(flag) {
					continue
				}
				v, err := parseAmount(flag, values[n])
				if err != nil {
					return err
				}
				amounts[n] = &v
			}
			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			q, err := api.Quota(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			for n, at := range []*int64{&q.Quota.Images, &q.Quota.Bytes, &q.Quota.InFlight, &q.Quota.Uploads} {
				if amounts[n] != nil {
					*at = *amounts[n]
				}
			}
			if q, err = api.SetQuota(cmd.Context(), args[0], q.Quota); err != nil {
				return err
			}
			return a.showQuota(q)
		},
	}
	f := c.Flags()
	f.StringVar(&values[0], "images", "", "images, or unlimited")
	f.StringVar(&values[1], "bytes", "", "bytes stored and under way together, as 500G or 2T (powers of 1024), or unlimited")
	f.StringVar(&values[2], "in-flight", "", "bytes under way, or unlimited")
	f.StringVar(&values[3], "uploads", "", "uploads that are open, or unlimited")
	return c
}

func (a *app) quotaUnset() *cobra.Command {
	return &cobra.Command{
		Use: "unset PROJECT", Short: "Let a project use what every project may", Args: exactly(1, "the id of a project"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			return api.UnsetQuota(cmd.Context(), args[0])
		},
	}
}

// parseAmount reads a number with a unit of 1024.
func parseAmount(flag, value string) (int64, error) {
	if value == "unlimited" || value == "-1" {
		return -1, nil
	}
	number, shift := strings.TrimSuffix(strings.ToUpper(value), "B"), 0
	if n := len(number) - 1; n > 0 {
		if power := strings.IndexByte("KMGTP", number[n]); power >= 0 {
			number, shift = strings.TrimSuffix(number[:n], "I"), 10*(power+1)
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n<<shift>>shift != n {
		return 0, misuse("--%s takes a number, as 20 or 500G, or unlimited; it is %q", flag, value)
	}
	return n << shift, nil
}
