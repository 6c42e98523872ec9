package sqlitestore

import "context"

// Setting is a small value that the host keeps under a key; "" when there is none.
func (s *Store) Setting(ctx context.Context, key string) (value string, err error) {
	err = s.read(ctx, func(c *conn) error {
		_, err := c.one(func(r *rows) { value = r.ColumnText(0) }, "SELECT value FROM settings WHERE key = ?", key)
		return err
	})
	return value, err
}

// SetSetting keeps a value under a key; "" removes it.
func (s *Store) SetSetting(ctx context.Context, key, value string) error {
	return s.apply(ctx, func(c *conn) error {
		if value == "" {
			return c.exec("DELETE FROM settings WHERE key = ?", key)
		}
		return c.exec("INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
	})
}
