package host

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"bullion/internal/identity"
	"bullion/internal/sqlitestore"
)

func keyCommand(o *Options) *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Manage the key that signs tokens"}
	cmd.AddCommand(&cobra.Command{
		Use: "rotate", Short: "Sign with a new key from now on; tokens that are out stay good until they end", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			keys, err := identity.OpenKeyFile(filepath.Join(o.Data, "keys.json"), time.Now)
			if err != nil {
				return err
			}
			return keys.Rotate(identity.MaxTokenLifetime)
		},
	})
	return cmd
}

func backupCommand(o *Options) *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Copy the records to a new file, while the server runs or not", Args: cobra.ExactArgs(1),
		Long: "Copy the records to a new file, while the server runs or not.\n\n" +
			"Objects are files in the folder s3 of the data directory, which never change: copy that folder with any tool, after the records.",
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			store, err := sqlitestore.Open(cmd.Context(), filepath.Join(o.Data, "bullion.db"))
			if err != nil {
				return err
			}
			defer store.Close()
			if err := store.Backup(cmd.Context(), target); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), target)
			return err
		},
	}
}
