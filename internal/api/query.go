package api

import (
	"encoding/csv"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bullion/internal/images"
)

// parseQuery reads the parameters of a list as Glance does: filters on attributes and custom properties, in: and comparison operators, sort in
// either syntax, limit and marker. name_contains is our own.
func parseQuery(params url.Values) (q images.Query, marker string, err error) {
	q.Limit = images.DefaultPage
	q.Properties = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		values := params[name]
		value := values[len(values)-1]
		switch name {
		case "limit":
			q.Limit, err = count(name, value)
			q.Limit = min(q.Limit, images.MaxPage)
		case "marker":
			marker = value
		case "sort", "sort_key", "sort_dir":
			// together, below
		case "tag":
			q.Tags = values
		case "visibility":
			if q.Visibility = images.Visibility(value); !q.Visibility.Valid() && q.Visibility != images.VisibilityAll {
				err = images.Errorf(images.Invalid, "visibility must be public, private, shared, community or all, not %.40q.", value)
			}
		case "member_status":
			if q.MemberStatus = images.MemberStatus(value); !q.MemberStatus.Valid() && q.MemberStatus != images.MemberStatusAll {
				err = images.Errorf(images.Invalid, "member_status must be pending, accepted, rejected or all, not %.40q.", value)
			}
		case "os_hidden":
			q.Hidden, err = boolean(name, value)
		case "protected":
			var b bool
			b, err = boolean(name, value)
			q.Protected = &b
		case "owner":
			q.Owner = value
		case "checksum":
			q.Checksum = value
		case "os_hash_value":
			q.HashValue = value
		case "name":
			q.Names, err = anyOf(name, value)
		case "name_contains":
			q.NameContains = value
		case "id":
			q.IDs, err = anyOf(name, value)
		case "status":
			q.Statuses, err = anyOf(name, value)
		case "disk_format":
			q.DiskFormats, err = anyOf(name, value)
		case "container_format":
			q.ContainerFormats, err = anyOf(name, value)
		case "created_at", "updated_at":
			err = times(&q, name, values)
		case "changes-since":
			err = images.Errorf(images.Invalid, "changes-since is not supported; use updated_at=gte:TIME.")
		default:
			var known bool
			if known, err = numbers(&q, name, values); !known && err == nil {
				q.Properties[name] = value
			}
		}
		if err != nil {
			return q, "", err
		}
	}
	q.Sort, err = parseSort(params)
	return q, marker, err
}

func count(name, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, images.Errorf(images.Invalid, "%s must be a whole number from 0, not %.40q.", name, value)
	}
	return n, nil
}

func boolean(name, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, images.Errorf(images.Invalid, "%s must be true or false, not %.40q.", name, value)
}

// anyOf reads one value, or in: with a list of values that are quoted where they hold a comma.
func anyOf(name, value string) ([]string, error) {
	list, ok := strings.CutPrefix(value, "in:")
	if !ok {
		return []string{value}, nil
	}
	r := csv.NewReader(strings.NewReader(list))
	r.TrimLeadingSpace = true
	values, err := r.Read()
	if err != nil || slices.Contains(values, "") {
		return nil, images.Errorf(images.Invalid, `%s=in: takes values with commas between, quoted where they hold a comma, such as in:a,"b,c".`, name)
	}
	return values, nil
}

func times(q *images.Query, name string, values []string) error {
	for _, value := range values {
		op, text, ok := strings.Cut(value, ":")
		if !ok || !slices.Contains(timeOps, images.Op(op)) {
			op, text = "eq", value
			if len(value) > 0 && (value[0] < '0' || value[0] > '9') {
				return images.Errorf(images.Invalid, "%s takes the operators gt, gte, lt, lte, eq and neq, such as gte:2026-01-31T00:00:00Z, not %.60q.", name, value)
			}
		}
		at, err := parseTime(text)
		if err != nil {
			return images.Errorf(images.Invalid, "%s: %.60q is not a time such as 2026-01-31T00:00:00Z.", name, text)
		}
		q.Ranges = append(q.Ranges, secondRanges(images.RangeField(name), images.Op(op), at)...)
	}
	return nil
}

var timeOps = []images.Op{images.OpEQ, images.OpNEQ, images.OpGT, images.OpGTE, images.OpLT, images.OpLTE}

func parseTime(text string) (time.Time, error) {
	var first error
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02"} {
		t, err := time.Parse(layout, text)
		if err == nil {
			return t.UTC(), nil
		}
		if first == nil {
			first = err
		}
	}
	return time.Time{}, first
}

// secondRanges compares times as clients see them, in whole seconds: a record that shows the time T matches eq:T although it is kept in microseconds.
func secondRanges(field images.RangeField, op images.Op, at time.Time) []images.Range {
	next := at.Truncate(time.Second).Add(time.Second)
	at = at.Truncate(time.Second)
	switch op {
	case images.OpGT:
		return []images.Range{{Field: field, Op: images.OpGTE, Time: next}}
	case images.OpLTE:
		return []images.Range{{Field: field, Op: images.OpLT, Time: next}}
	case images.OpEQ:
		return []images.Range{{Field: field, Op: images.OpGTE, Time: at}, {Field: field, Op: images.OpLT, Time: next}}
	}
	return []images.Range{{Field: field, Op: op, Time: at}}
}

// numbers reads filters on numeric fields: size=1, size_min=1, size_max=2, and so for the others. known is false for other names.
func numbers(q *images.Query, name string, values []string) (known bool, err error) {
	field, op := name, images.OpEQ
	if f, ok := strings.CutSuffix(name, "_min"); ok {
		field, op = f, images.OpGTE
	} else if f, ok := strings.CutSuffix(name, "_max"); ok {
		field, op = f, images.OpLTE
	}
	switch f := images.RangeField(field); f {
	case images.RangeSize, images.RangeVirtualSize, images.RangeMinDisk, images.RangeMinRAM:
		for _, value := range values {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return true, images.Errorf(images.Invalid, "%s must be a whole number, not %.40q.", name, value)
			}
			q.Ranges = append(q.Ranges, images.Range{Field: f, Op: op, Int: n})
		}
		return true, nil
	}
	return false, nil
}

// parseSort reads sort=key[:dir],… or pairs of sort_key and sort_dir; not both.
func parseSort(params url.Values) ([]images.SortKey, error) {
	var keys []images.SortKey
	add := func(key, dir string) error {
		if !slices.Contains(images.SortKeys, key) {
			return images.Errorf(images.Invalid, "Sort key %.40q is not known; use one of %s.", key, strings.Join(images.SortKeys, ", "))
		}
		if dir != "asc" && dir != "desc" {
			return images.Errorf(images.Invalid, "Sort direction %.40q is not known; use asc or desc.", dir)
		}
		for _, k := range keys {
			if k.Key == key {
				return images.Errorf(images.Invalid, "Sort key %s is given twice.", key)
			}
		}
		keys = append(keys, images.SortKey{Key: key, Desc: dir == "desc"})
		return nil
	}
	sortKeys, sortDirs := params["sort_key"], params["sort_dir"]
	if params.Has("sort") {
		if len(sortKeys)+len(sortDirs) > 0 {
			return nil, images.Errorf(images.Invalid, "Use either sort or sort_key and sort_dir, not both.")
		}
		for _, item := range strings.Split(params.Get("sort"), ",") {
			key, dir, ok := strings.Cut(strings.TrimSpace(item), ":")
			if !ok {
				dir = "desc"
			}
			if err := add(key, dir); err != nil {
				return nil, err
			}
		}
		return keys, nil
	}
	if len(sortDirs) > 1 && len(sortDirs) != len(sortKeys) {
		return nil, images.Errorf(images.Invalid, "There are %d of sort_dir for %d of sort_key; give one for all or one for each.", len(sortDirs), len(sortKeys))
	}
	if len(sortKeys) == 0 && len(sortDirs) > 0 {
		sortKeys = []string{"created_at"}
	}
	for n, key := range sortKeys {
		dir := "desc"
		switch {
		case len(sortDirs) == 1:
			dir = sortDirs[0]
		case len(sortDirs) > 1:
			dir = sortDirs[n]
		}
		if err := add(key, dir); err != nil {
			return nil, err
		}
	}
	return keys, nil
}
