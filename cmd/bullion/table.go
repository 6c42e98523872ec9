package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

// formats are the values of --format: a table for people, JSON for programs, and bare values for shells.
var formats = []string{"table", "json", "value"}

// field is one fact about something. The key is the API's name for it, so that every format uses one vocabulary.
type field struct {
	key   string
	value any
}

// record is what is known of one thing, in the order in which to show it.
type record []field

// pick returns the fields of those keys from every record, in that order. Images need not all have the same properties; a key that none has is a mistake.
func pick(records []record, keys []string) ([]record, error) {
	known := map[string]bool{}
	picked := make([]record, len(records))
	for n, r := range records {
		fields := map[string]any{}
		for _, f := range r {
			fields[f.key], known[f.key] = f.value, true
		}
		for _, key := range keys {
			picked[n] = append(picked[n], field{key, fields[key]})
		}
	}
	for _, key := range keys {
		if !known[key] && len(records) > 0 {
			return nil, misuse("there is no column %q; there are %s", key, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	return picked, nil
}

// MarshalJSON keeps the order.
func (r record) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for n, f := range r {
		if n > 0 {
			b = append(b, ',')
		}
		key, err := json.Marshal(f.key)
		if err != nil {
			return nil, fmt.Errorf("write the key %q: %w", f.key, err)
		}
		value, err := json.Marshal(plain(f.value))
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", f.key, err)
		}
		b = append(append(append(b, key...), ':'), value...)
	}
	return append(b, '}'), nil
}

// both is a value with another form for tables.
type both struct {
	value any
	text  string
}

func plain(v any) any {
	switch v := v.(type) {
	case both:
		return plain(v.value)
	case []string:
		if v == nil {
			return []string{}
		}
	case *int64:
		if v == nil {
			return nil
		}
	}
	return v
}

// bytesOf shows a number of bytes, in a table with a unit.
func bytesOf(n *int64) any {
	if n == nil {
		return both{n, ""}
	}
	return both{*n, humanBytes(*n)}
}

// text is a value without markup; pretty allows the form for people.
func text(v any, pretty bool) string {
	switch v := v.(type) {
	case nil:
		return ""
	case both:
		if pretty {
			return clean(v.text)
		}
		return text(v.value, false)
	case string:
		return clean(v)
	case []string:
		return clean(strings.Join(v, ", "))
	case *int64:
		if v == nil {
			return ""
		}
		return fmt.Sprint(*v)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		if pretty {
			return v.Local().Format("2006-01-02 15:04:05")
		}
		return v.UTC().Format(time.RFC3339)
	}
	return clean(fmt.Sprint(v))
}

// show prints one record, or its id alone when quiet. document is what JSON shows when no columns were chosen; nil means the record.
func (a *app) show(r record, id string, document any) error {
	if a.quiet {
		_, err := fmt.Fprintln(a.out, clean(id))
		return err
	}
	if len(a.columns) > 0 {
		picked, err := pick([]record{r}, a.columns)
		if err != nil {
			return err
		}
		r, document = picked[0], picked[0]
	}
	switch a.format {
	case "json":
		if document == nil {
			document = r
		}
		return writeJSON(a.out, document)
	case "value":
		for _, f := range r {
			if _, err := fmt.Fprintln(a.out, text(f.value, false)); err != nil {
				return err
			}
		}
		return nil
	}
	rows := make([][]string, len(r))
	for n, f := range r {
		rows[n] = []string{f.key, text(f.value, true)}
	}
	return writeTable(a.out, nil, rows)
}

// list prints many records of the same keys. columns are those of the table when the user chose none; documents are for JSON then.
func (a *app) list(records []record, columns []string, id func(n int) string, documents any) error {
	if a.quiet {
		for n := range records {
			if _, err := fmt.Fprintln(a.out, clean(id(n))); err != nil {
				return err
			}
		}
		return nil
	}
	chosen := a.columns
	if len(chosen) > 0 {
		columns = chosen
	}
	picked, err := pick(records, columns)
	if err != nil {
		return err
	}
	switch a.format {
	case "json":
		if len(chosen) > 0 {
			return writeJSON(a.out, picked)
		}
		return writeJSON(a.out, documents)
	case "value":
		for _, r := range picked {
			values := make([]string, len(r))
			for c, f := range r {
				values[c] = text(f.value, false)
			}
			if _, err := fmt.Fprintln(a.out, strings.Join(values, "\t")); err != nil {
				return err
			}
		}
		return nil
	}
	heads := make([]string, len(columns))
	for n, c := range columns {
		heads[n] = strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(strings.TrimSuffix(c, "_at"), "disk_"), "_", " "))
	}
	rows := make([][]string, len(picked))
	for n, r := range picked {
		for _, f := range r {
			cell := text(f.value, true)
			if at, ok := f.value.(time.Time); ok && !at.IsZero() {
				cell = at.Local().Format("2006-01-02 15:04") // a row should fit on a line
			}
			rows[n] = append(rows[n], cell)
		}
	}
	return writeTable(a.out, heads, rows)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// writeTable aligns columns by what they take on a screen.
func writeTable(w io.Writer, heads []string, rows [][]string) error {
	if heads != nil {
		rows = append([][]string{heads}, rows...)
	}
	var widths []int
	for _, row := range rows {
		for c, cell := range row {
			if c == len(widths) {
				widths = append(widths, 0)
			}
			widths[c] = max(widths[c], runewidth.StringWidth(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for c, cell := range row {
			line += cell + strings.Repeat(" ", widths[c]-runewidth.StringWidth(cell)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// humanBytes is a number of bytes with three digits and a binary unit.
func humanBytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 5 {
		v, unit = v/1024, unit+1
	}
	digits := 2 - int(math.Log10(max(v, 1)))
	number := fmt.Sprintf("%.*f", max(digits, 0), v)
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	return number + " " + [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}[unit]
}
