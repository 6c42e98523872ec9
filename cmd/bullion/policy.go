package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bullion/internal/images"
	"bullion/internal/policy"
)

// policyCommand works on a policy document on this machine; it asks no service, so that an operator can try a document before it is used.
func (a *app) policyCommand() *cobra.Command {
	return group("policy", "Show a policy, and try what it allows", a.policyShow(), a.policyCheck())
}

func (a *app) policyShow() *cobra.Command {
	return &cobra.Command{
		Use: "show [DOCUMENT]", Short: "Print the effective policy: the defaults with the changes of a document or preset",
		Example: "  bullion policy show\n  bullion policy show admin-only\n  bullion policy show policy.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := readPolicy(args)
			if err != nil {
				return err
			}
			_, err = a.out.Write(p.Document())
			return err
		},
	}
}

func (a *app) policyCheck() *cobra.Command {
	var roles []string
	var rule, visibility string
	var others bool
	c := &cobra.Command{
		Use: "check [DOCUMENT]", Short: "Check a document, and say who may do what by it",
		Long: `Check a document: every mistake is reported with its rule and its line. Then say what each role may do,
or explain one rule for one caller. What a caller may not see at all is not found, whatever the policy says.`,
		Example: "  bullion policy check policy.yaml\n  bullion policy check policy.yaml --rule delete_image --role member --others",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := readPolicy(args)
			if err != nil {
				return err
			}
			if !images.Visibility(visibility).Valid() {
				return fmt.Errorf("--visibility must be public, private, shared or community; it is %q", visibility)
			}
			if rule != "" {
				x, err := p.Explain(rule, trialCaller(roles), trialImage(visibility, others))
				if err == nil {
					_, err = fmt.Fprintln(a.out, x)
				}
				return err
			}
			return a.policyTable(p, visibility)
		},
	}
	f := c.Flags()
	f.StringVar(&rule, "rule", "", "explain this rule")
	f.StringSliceVar(&roles, "role", []string{"member"}, "roles of the caller: reader, member, admin, service")
	f.BoolVar(&others, "others", false, "the image belongs to another project")
	f.StringVar(&visibility, "visibility", string(images.Shared), "visibility of the image")
	return c
}

// policyTable shows every rule for every role, on an image of the caller's project and, for a member, on one of another.
func (a *app) policyTable(p *policy.Policy, visibility string) error {
	var rows []record
	for _, r := range p.Rules() {
		own, other := trialImage(visibility, false), trialImage(visibility, true)
		row := record{{"rule", r.Name}}
		for _, role := range []string{"reader", "member", "admin"} {
			row = append(row, field{role, p.Allows(r.Name, trialCaller([]string{role}), own)})
		}
		rows = append(rows, append(row, field{"member_on_others", p.Allows(r.Name, trialCaller([]string{"member"}), other)}, field{"from", r.Source}))
	}
	return a.list(rows, []string{"rule", "reader", "member", "admin", "member_on_others", "from"}, func(n int) string { return p.Rules()[n].Name }, rows)
}

const trialProject = "the caller's project"

// trialCaller has the roles, and those that they include.
func trialCaller(roles []string) images.Caller {
	c := images.Caller{UserID: "the caller", ProjectID: trialProject, Roles: slices.Clone(roles)}
	for _, implied := range []struct{ role, by string }{{"member", "admin"}, {"reader", "member"}} {
		if c.Has(implied.by) && !c.Has(implied.role) {
			c.Roles = append(c.Roles, implied.role)
		}
	}
	return c
}

func trialImage(visibility string, others bool) *images.Image {
	i := &images.Image{ID: "an image", Owner: trialProject, Visibility: images.Visibility(visibility), Status: images.StatusActive}
	if others {
		i.Owner = "another project"
	}
	return i
}

// readPolicy reads a document, or takes a preset by its name.
func readPolicy(args []string) (*policy.Policy, error) {
	switch {
	case len(args) == 0:
		return policy.Default(), nil
	case slices.Contains(policy.Presets, args[0]):
		return policy.Parse([]byte("preset: " + args[0]))
	}
	document, err := os.ReadFile(args[0])
	if err != nil {
		return nil, fmt.Errorf("%w; name a file, or one of the presets %s", err, strings.Join(policy.Presets, ", "))
	}
	p, err := policy.Parse(document)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", args[0], err)
	}
	return p, nil
}
