package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bullion/internal/identity"
)

// The commands here change the directory of users while the server runs or not; it sees the change at once.

func userCommand(o *Options) *cobra.Command {
	cmd := &cobra.Command{Use: "user", Short: "Manage who may sign in"}

	var email, project, role string
	add := withUsers(o, "add NAME", "Add a user, with a role in a project if you like; the password is read from standard input, or made", 1,
		func(cmd *cobra.Command, d *identity.FileDirectory, args []string) error {
			password, made, err := newPassword(cmd.InOrStdin())
			if err != nil {
				return err
			}
			if _, err := d.AddUser(cmd.Context(), args[0], email, password); err != nil {
				return err
			}
			if project != "" {
				if err := d.Grant(cmd.Context(), args[0], project, role); err != nil {
					return err
				}
			}
			if made {
				fmt.Fprintf(cmd.OutOrStdout(), "Password of %s, shown this once: %s\n", args[0], password)
			}
			return nil
		})
	add.Flags().StringVar(&email, "email", "", "address of the user")
	add.Flags().StringVar(&project, "project", "", "project in which the user gets a role")
	add.Flags().StringVar(&role, "role", identity.RoleMember, "reader, member or admin")

	cmd.AddCommand(add,
		withUsers(o, "list", "List users with their roles", 0, func(cmd *cobra.Command, d *identity.FileDirectory, _ []string) error {
			users, err := d.Users(cmd.Context())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tID\tROLES")
			for _, u := range users {
				grants, err := d.Grants(cmd.Context(), u)
				if err != nil {
					return err
				}
				var roles []string
				for _, g := range grants {
					roles = append(roles, g.Project.Name+": "+strings.Join(g.Roles, ", "))
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", u.Name, u.ID, strings.Join(roles, "; "))
			}
			return w.Flush()
		}),
		withUsers(o, "passwd NAME", "Set a password and end all sessions of the user; it is read from standard input, or made", 1,
			func(cmd *cobra.Command, d *identity.FileDirectory, args []string) error {
				password, made, err := newPassword(cmd.InOrStdin())
				if err != nil {
					return err
				}
				if err := d.SetPassword(cmd.Context(), args[0], password); err != nil {
					return err
				}
				if made {
					fmt.Fprintf(cmd.OutOrStdout(), "Password of %s, shown this once: %s\n", args[0], password)
				}
				return nil
			}),
		withUsers(o, "grant NAME PROJECT ROLE", "Give a user a role (reader, member, admin, service) in a project", 3,
			func(cmd *cobra.Command, d *identity.FileDirectory, args []string) error {
				return d.Grant(cmd.Context(), args[0], args[1], args[2])
			}),
		withUsers(o, "revoke NAME PROJECT ROLE", "Take a role from a user", 3,
			func(cmd *cobra.Command, d *identity.FileDirectory, args []string) error {
				return d.Ungrant(cmd.Context(), args[0], args[1], args[2])
			}),
		withUsers(o, "remove NAME", "Remove a user; the images of its projects stay", 1,
			func(cmd *cobra.Command, d *identity.FileDirectory, args []string) error {
				return d.RemoveUser(cmd.Context(), args[0])
			}),
	)
	return cmd
}

func projectCommand(o *Options) *cobra.Command {
	cmd := &cobra.Command{Use: "project", Short: "Manage projects, which own images"}
	var description string
	add := withUsers(o, "add NAME", "Add a project", 1, func(cmd *cobra.Command, d *identity.FileDirectory, args []string) error {
		p, err := d.AddProject(cmd.Context(), args[0], description)
		if err == nil {
			fmt.Fprintln(cmd.OutOrStdout(), p.ID)
		}
		return err
	})
	add.Flags().StringVar(&description, "description", "", "what the project is for")
	cmd.AddCommand(add, withUsers(o, "list", "List projects", 0, func(cmd *cobra.Command, d *identity.FileDirectory, _ []string) error {
		projects, err := d.Projects(cmd.Context())
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tID\tDESCRIPTION")
		for _, p := range projects {
			fmt.Fprintf(w, "%s\t%s\t%s\n", p.Name, p.ID, p.Description)
		}
		return w.Flush()
	}))
	return cmd
}

func withUsers(o *Options, use, short string, args int, do func(*cobra.Command, *identity.FileDirectory, []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(args), RunE: func(cmd *cobra.Command, args []string) error {
		d, err := identity.OpenFile(filepath.Join(o.Data, "users.json"))
		if err != nil {
			return err
		}
		return do(cmd, d, args)
	}}
}

// newPassword reads one line; when there is none it makes a password.
func newPassword(in io.Reader) (password string, made bool, err error) {
	if isTerminal(in) {
		return identity.NewPassword(), true, nil
	}
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, fmt.Errorf("read the password from standard input: %w", err)
	}
	if password = strings.TrimRight(line, "\r\n"); password == "" {
		return identity.NewPassword(), true, nil
	}
	return password, false, nil
}
