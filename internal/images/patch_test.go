package images

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
)

// patched applies one operation to an image that is queued and has the property "os" with the value "debian".
func patched(status Status, op PatchOp) (*Image, error) {
	i := &Image{ID: "i", Status: status, Name: "n", Visibility: Shared, Owner: "p", Tags: []string{"t"}, Properties: map[string]string{"os": "debian"}}
	return i, i.apply([]PatchOp{op})
}

func TestPatchOperationsOnPropertiesAndAttributes(t *testing.T) {
	const fine = Kind(255)
	for _, c := range []struct {
		name string
		op   PatchOp
		want Kind // fine for no error
		os   string
	}{
		{"add sets a property that is not there", PatchOp{"add", "arch", "x86_64"}, fine, "debian"},
		{"add sets a property that is there", PatchOp{"add", "os", "ubuntu"}, fine, "ubuntu"},
		{"replace sets a property that is there", PatchOp{"replace", "os", "ubuntu"}, fine, "ubuntu"},
		{"replace of a property that is not there is a conflict", PatchOp{"replace", "arch", "x86_64"}, Conflict, "debian"},
		{"remove removes a property", PatchOp{"remove", "os", nil}, fine, ""},
		{"remove of a property that is not there is a conflict", PatchOp{"remove", "arch", nil}, Conflict, "debian"},
		{"replace sets an attribute, which every image has", PatchOp{"replace", "min_disk", json.Number("3")}, fine, "debian"},
		{"add sets an attribute too", PatchOp{"add", "min_disk", json.Number("3")}, fine, "debian"},
		{"an attribute cannot be removed", PatchOp{"remove", "name", nil}, Forbidden, "debian"},
		{"but tags can", PatchOp{"remove", "tags", nil}, fine, "debian"},
		{"another operation is refused", PatchOp{"move", "os", "x"}, Invalid, "debian"},
		{"no operation is refused", PatchOp{"", "os", "x"}, Invalid, "debian"},
		{"a property must be a string", PatchOp{"add", "os", json.Number("1")}, Invalid, "debian"},
		{"a property cannot be null", PatchOp{"add", "os", nil}, Invalid, "debian"},
		{"a property needs a name", PatchOp{"add", "", "x"}, Invalid, "debian"},
		{"a name has 255 characters at most", PatchOp{"add", strings.Repeat("é", 256), "x"}, Invalid, "debian"},
		{"and may have 255", PatchOp{"add", strings.Repeat("é", 255), "x"}, fine, "debian"},
		{"a value has 64 KiB at most", PatchOp{"add", "os", strings.Repeat("x", MaxValue+1)}, Invalid, "debian"},
		{"a value may be empty", PatchOp{"add", "os", ""}, fine, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, err := patched(StatusQueued, c.op)
			if c.want == fine && err != nil || c.want != fine && (err == nil || KindOf(err) != c.want) {
				t.Fatalf("got error %v, want kind %d", err, c.want)
			}
			if got := i.Properties["os"]; got != c.os {
				t.Errorf("os is %q, want %q", got, c.os)
			}
		})
	}
}

func TestWhatTheServiceOwnsCannotBePatched(t *testing.T) {
	names := append(append([]string{}, readOnly...), reserved...)
	names = append(names, "os_glance_import_task", "os_glance_", "bullion_reason")
	for _, name := range names {
		for _, op := range []string{"add", "replace", "remove"} {
			if _, err := patched(StatusQueued, PatchOp{op, name, "x"}); err == nil || KindOf(err) != Forbidden {
				t.Errorf("%s %s: got error %v, want one of kind Forbidden", op, name, err)
			}
		}
	}
}

func TestEveryAttributeTakesItsValuesAndNoOthers(t *testing.T) {
	number := func(s string) json.Number { return json.Number(s) }
	for _, c := range []struct {
		name string
		good []any
		bad  []any
	}{
		{"name", []any{"x", "", nil, "Ümläut", "a\tb", strings.Repeat("é", 255)}, []any{true, number("1"), []any{}, strings.Repeat("a", 256), "a\x00", "a\x1bb", "\x7f", "\xff", "😀"}},
		{"visibility", []any{"private", "shared", "community", "public"}, []any{nil, "", "all", "Public", true}},
		{"owner", []any{"project", strings.Repeat("p", 255)}, []any{nil, "", true, strings.Repeat("p", 256), "a\x00b"}},
		{"protected", []any{true, false}, []any{nil, "true", number("1")}},
		{"os_hidden", []any{true, false}, []any{nil, "", number("0")}},
		{"tags", []any{[]any{}, []any{"a"}, []any{"a", "a"}, []any{strings.Repeat("é", 255)}}, []any{nil, "a", []any{""}, []any{"a", json.Number("1")}, []any{strings.Repeat("a", 256)}, []any{"a\n\x00"}, many(129)}},
		{"disk_format", append([]any{nil}, anys(DiskFormats)...), []any{"", "QCOW2", "exe", true}},
		{"container_format", append([]any{nil}, anys(ContainerFormats)...), []any{"", "zip", json.Number("1")}},
		{"min_disk", []any{number("0"), number("2147483647")}, []any{nil, "1", number("-1"), number("2147483648"), number("1.5"), number("1e3"), number("99999999999999999999"), true, 1.0}},
		{"min_ram", []any{number("0"), number("512")}, []any{nil, "1", number("-1"), number("2147483648")}},
	} {
		for _, v := range c.good {
			if _, err := patched(StatusQueued, PatchOp{"replace", c.name, v}); err != nil {
				t.Errorf("%s = %.40v: %v", c.name, v, err)
			}
		}
		for _, v := range c.bad {
			_, err := patched(StatusQueued, PatchOp{"replace", c.name, v})
			if err == nil || KindOf(err) != Invalid && KindOf(err) != TooLarge {
				t.Errorf("%s = %.40v: got error %v, want one of kind Invalid", c.name, v, err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("%s: the error has %d bytes", c.name, len(err.Error()))
			}
		}
		if !Base(c.name) {
			t.Errorf("%s is not a base attribute", c.name)
		}
	}
	if len(fields) != 10 {
		t.Errorf("there are %d attributes, 10 are tested", len(fields))
	}
}

func anys(list []string) []any {
	var all []any
	for _, s := range list {
		all = append(all, s)
	}
	return all
}

func many(n int) []any {
	var all []any
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func TestFormatsAreFixedOnceThereAreBytes(t *testing.T) {
	for _, status := range []Status{"", StatusQueued, StatusSaving, StatusUploading, StatusImporting, StatusActive, StatusDeactivated} {
		for _, name := range []string{"disk_format", "container_format"} {
			value := map[string]string{"disk_format": "raw", "container_format": "bare"}[name]
			_, err := patched(status, PatchOp{"replace", name, value})
			if free := status == "" || status == StatusQueued; free != (err == nil) || err != nil && KindOf(err) != Forbidden {
				t.Errorf("%s of an image that is %q: got error %v", name, status, err)
			}
			i := &Image{ID: "i", Status: status, DiskFormat: "raw", ContainerFormat: "bare"}
			if err := i.apply([]PatchOp{{"replace", name, value}}); err != nil {
				t.Errorf("%s of an image that is %q, to what it is: %v", name, status, err)
			}
		}
	}
}

func TestARecordIsBounded(t *testing.T) {
	properties := func(n, size int) (ops []PatchOp) {
		for i := range n {
			ops = append(ops, PatchOp{"add", fmt.Sprintf("p%03d", i), strings.Repeat("x", size)})
		}
		return ops
	}
	for _, c := range []struct {
		name string
		ops  []PatchOp
		fine bool
	}{
		{"128 properties", properties(128, 1), true},
		{"129 properties", properties(129, 1), false},
		{"128 tags", []PatchOp{{"add", "tags", many(128)}}, true},
		{"200 KiB in all", properties(100, 2044), true},
		{"more than 200 KiB in all", properties(100, 2045), false},
		{"512 operations", slicesRepeat(PatchOp{"add", "os", "x"}, 512), true},
		{"513 operations", slicesRepeat(PatchOp{"add", "os", "x"}, 513), false},
		{"too many for a moment, but not in the end", append(properties(129, 1), PatchOp{"remove", "p000", nil}), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&Image{ID: "i", Status: StatusQueued}).apply(c.ops)
			if c.fine != (err == nil) || err != nil && KindOf(err) != TooLarge {
				t.Errorf("got error %v, want one of kind TooLarge: %v", err, !c.fine)
			}
		})
	}
}

func slicesRepeat(op PatchOp, n int) (ops []PatchOp) {
	for range n {
		ops = append(ops, op)
	}
	return ops
}

func FuzzPatchKeepsTheRecordSound(f *testing.F) {
	f.Add("add", "os", "debian")
	f.Add("remove", "tags", "")
	f.Add("replace", "name", "\xff")
	f.Add("add", "bullion_x", "y")
	f.Fuzz(func(t *testing.T, op, name, value string) {
		i, err := patched(StatusActive, PatchOp{op, name, value})
		if err != nil {
			if KindOf(err) == Internal {
				t.Fatalf("%s %q %q: an unknown error: %v", op, name, value, err)
			}
			return
		}
		if _, err := json.Marshal(i.Properties); err != nil {
			t.Fatal(err)
		}
		for k, v := range i.Properties {
			if Base(k) || writable(k) != nil || plainText("value", v) != nil || len(v) > MaxValue {
				t.Fatalf("%s %q %q left the property %q = %q", op, name, value, k, v)
			}
		}
		if plainText("name", i.Name) != nil || !i.Visibility.Valid() || i.Owner == "" {
			t.Fatalf("%s %q %q left name %q, visibility %q, owner %q", op, name, value, i.Name, i.Visibility, i.Owner)
		}
	})
}

func TestACloneSharesNothing(t *testing.T) {
	size := int64(1)
	make := func() *Image {
		n := size
		return &Image{ID: "i", Tags: []string{"t"}, Properties: map[string]string{"a": "b"}, Size: &n, VirtualSize: &n, Blob: &Blob{Key: "k"},
			Upload: &Upload{ID: "u", Object: &Blob{Key: "k"}, Rejection: &Rejection{Code: "c"}, Validation: &Validation{Lease: Lease{Holder: "h"}, HashState: []byte{1}},
				Report: &Report{Evidence: []string{"e"}, Warnings: []Warning{{Code: "w"}}}},
			Import: &Import{TaskID: "t"}}
	}
	was, is := make(), make().Clone()
	if !reflect.DeepEqual(was, is) {
		t.Fatalf("the clone differs: %+v", is)
	}
	original := make()
	clone := original.Clone()
	clone.Tags[0] = "x"
	maps.Copy(clone.Properties, map[string]string{"a": "x"})
	*clone.Size, *clone.VirtualSize = 9, 9
	clone.Blob.Key, clone.Import.TaskID = "x", "x"
	u := clone.Upload
	u.ID, u.Object.Key, u.Rejection.Code, u.Validation.Holder, u.Validation.HashState[0] = "x", "x", "x", "x", 9
	u.Report.Bootable, u.Report.Evidence[0], u.Report.Warnings[0].Code = true, "x", "x"
	if !reflect.DeepEqual(original, was) {
		t.Errorf("a change of the clone changed the original: %+v", original)
	}
	shared(t, "Image", reflect.ValueOf(original), reflect.ValueOf(original.Clone()))
}

// shared fails for every pointer, slice or map that two values have in common, so that a new field is not forgotten.
func shared(t *testing.T, path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if a.IsNil() {
			t.Errorf("%s is nil in the test; give it a value there", path)
			return
		}
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
		if a.Kind() == reflect.Pointer {
			shared(t, path, a.Elem(), b.Elem())
		}
	case reflect.Struct:
		if a.Type().PkgPath() == "time" {
			return
		}
		for n := range a.NumField() {
			shared(t, path+"."+a.Type().Field(n).Name, a.Field(n), b.Field(n))
		}
	}
}
