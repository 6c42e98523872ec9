package sqlitestore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"path"

	"github.com/ncruces/go-sqlite3"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks the file as this program's: "Bull" in ASCII.
const applicationID = 0x42756c6c

// migrate brings the schema up to date. The number of the last migration is in PRAGMA user_version.
func migrate(ctx context.Context, c *conn, file string) error {
	entries, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		return err
	}
	c.SetInterrupt(ctx)
	defer c.SetInterrupt(context.Background())
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("the database %s: %w", file, explain(ctx, err))
	}
	err = func() error {
		id, version, tables, err := about(c)
		switch {
		case err != nil:
			return err
		case id != applicationID && tables > 0:
			return fmt.Errorf("%s is the database of another program; choose another file", file)
		case version > len(entries):
			return fmt.Errorf("the database %s was written by a newer version (schema %d, this program knows up to %d); run the newer program or restore a backup",
				file, version, len(entries))
		}
		for n := version; n < len(entries); n++ {
			text, err := migrationFiles.ReadFile(path.Join("migrations", entries[n].Name()))
			if err != nil {
				return err
			}
			if err := c.Exec(string(text)); err != nil {
				return fmt.Errorf("migration %s of the database %s: %w", entries[n].Name(), file, err)
			}
		}
		return c.Exec(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(entries)))
	}()
	if err != nil {
		if !c.GetAutocommit() {
			err = errors.Join(err, c.Exec("ROLLBACK"))
		}
		return err
	}
	return c.exec("COMMIT")
}

func about(c *conn) (id, version, tables int, err error) {
	for _, ask := range []struct {
		text string
		to   *int
	}{{"PRAGMA application_id", &id}, {"PRAGMA user_version", &version}, {"SELECT count(*) FROM sqlite_schema", &tables}} {
		if _, err := c.one(func(r *rows) { *ask.to = r.ColumnInt(0) }, ask.text); err != nil {
			if errors.Is(err, sqlite3.NOTADB) || errors.Is(err, sqlite3.CORRUPT) {
				err = fmt.Errorf("it is not a database, or is damaged: %w", err)
			}
			return 0, 0, 0, err
		}
	}
	return id, version, tables, nil
}
