package images

import (
	"strings"
	"testing"
)

const anImage, anUpload = "0b6d5d0e-1f0e-4d5c-9a39-6a1c5d0b7a11", "5f1e8a3c-7a44-4c9e-8f0a-2f3f0f6f1b22"

func TestParseKeyTakesOnlyWhatBlobKeyMakes(t *testing.T) {
	if i, u, ok := ParseKey(BlobKey(anImage, anUpload)); !ok || i != anImage || u != anUpload {
		t.Errorf("got %s, %s, %v", i, u, ok)
	}
	good := BlobKey(anImage, anUpload)
	for _, key := range []string{
		"", "images", "images/", "images//", good + "/", "/" + good, good + "/x", "image/" + anImage + "/" + anUpload, "images/" + anImage,
		"images/" + anImage + "/", "images//" + anUpload, strings.ToUpper(good), "images/" + strings.ToUpper(anImage) + "/" + anUpload,
		"images/../" + anUpload, "images/" + anImage + "/..", strings.ReplaceAll(good, "-", ""), strings.ReplaceAll(good, "-", "_"),
		good[:len(good)-1] + "g", good[:len(good)-1], good + "0", good + "\x00", good + "\n", strings.Replace(good, "0", "０", 1), strings.Replace(good, "/", "%2F", 2),
	} {
		if _, _, ok := ParseKey(key); ok {
			t.Errorf("%q passes for a key", key)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(BlobKey(anImage, anUpload))
	f.Add("images/a/b")
	f.Fuzz(func(t *testing.T, key string) {
		if i, u, ok := ParseKey(key); ok && BlobKey(i, u) != key {
			t.Errorf("%q passes for the key of %q and %q, which is %q", key, i, u, BlobKey(i, u))
		}
	})
}

func TestNewIDMakesUUIDsThatAreKeys(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := NewID()
		if !validUUID(id) || id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) || seen[id] {
			t.Fatalf("%s is no random UUID, or not a new one", id)
		}
		seen[id] = true
	}
}

func TestFilename(t *testing.T) {
	for _, c := range []struct{ name, format, want string }{
		{"debian-12", "qcow2", "debian-12.qcow2"},
		{"debian-12.qcow2", "qcow2", "debian-12.qcow2"},
		{"Debian 12 (bookworm)", "raw", "Debian 12 (bookworm).raw"},
		{"../../etc/passwd", "raw", "_.._etc_passwd.raw"},
		{"a\r\nX: y", "iso", "a__X_ y.iso"},
		{`a"b\c;d%e`, "iso", "a_b_c_d_e.iso"},
		{"", "raw", anImage + ".raw"},
		{" .. ", "raw", anImage + ".raw"},
	} {
		if got := filename(&Image{ID: anImage, Name: c.name, DiskFormat: c.format}); got != c.want {
			t.Errorf("%q as %s: got %q, want %q", c.name, c.format, got, c.want)
		}
	}
}
