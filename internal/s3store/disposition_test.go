package s3store

import (
	"mime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestAttachment(t *testing.T) {
	for name, want := range map[string]string{
		"debian 12.qcow2": `attachment; filename="debian 12.qcow2"`,
		`say "hi".raw`:    `attachment; filename="say _hi_.raw"; filename*=UTF-8''say%20%22hi%22.raw`,
		"Ümläut.raw":      `attachment; filename="_ml_ut.raw"; filename*=UTF-8''%C3%9Cml%C3%A4ut.raw`,
		"50%25.raw":       `attachment; filename="50_25.raw"; filename*=UTF-8''50%2525.raw`,
		"a'b(c)*.raw":     `attachment; filename="a'b(c)_.raw"`,
		" .. ":            `attachment; filename="image"`,
	} {
		if got := attachment(name); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
}

func FuzzAttachment(f *testing.F) {
	for _, seed := range []string{"", "a.raw", "\r\n", `"; x="`, "日本語.iso", "\xff", "\u202e", strings.Repeat("é", 300) + ".qcow2", strings.Repeat(".", 300), "a" + strings.Repeat(" ", 300) + ".b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d := attachment(name)
		for _, r := range d {
			if r < ' ' || r > '~' {
				t.Fatalf("%q: the header has %q", name, r)
			}
		}
		kind, params, err := mime.ParseMediaType(d)
		if err != nil || kind != "attachment" || len(params) != 1 {
			t.Fatalf("%q: %s parses as %s %v (error %v)", name, d, kind, params, err)
		}
		got := params["filename"]
		if got != cleanFilename(name) {
			t.Fatalf("%q: the header says %q, want %q", name, got, cleanFilename(name))
		}
		switch {
		case got == "" || len(got) > maxFilename || !utf8.ValidString(got):
			t.Fatalf("%q: got a name of %d bytes, valid %v", name, len(got), utf8.ValidString(got))
		case strings.ContainsAny(got, `/\`) || strings.Trim(got, ". ") == "" || strings.HasPrefix(got, "."):
			t.Fatalf("%q: got %q, which is a path or hidden", name, got)
		case strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }):
			t.Fatalf("%q: got %q, which does not print", name, got)
		case cleanFilename(got) != got:
			t.Fatalf("%q: cleaning %q again gives %q", name, got, cleanFilename(got))
		}
	})
}
