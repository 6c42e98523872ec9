package s3store

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFilename bounds a file name in bytes; file systems end at 255.
const maxFilename = 200

// attachment is the Content-Disposition of a download under the name: a plain form that every client reads, and behind it the whole name in UTF-8 when the
// plain form loses something (RFC 6266, RFC 8187).
func attachment(name string) string {
	name = cleanFilename(name)
	plain := strings.Map(func(r rune) rune {
		if r > '~' || r == '"' || r == '%' { // some browsers decode %41 in a plain name
			return '_'
		}
		return r
	}, name)
	d := `attachment; filename="` + plain + `"`
	if plain != name {
		d += "; filename*=UTF-8''" + extValue(name)
	}
	return d
}

// cleanFilename makes a name that no file system, shell or reader trips over: no path, no control characters or such as turn the
// direction of writing, no dots or blanks at its ends, and not too long, its extension kept.
func cleanFilename(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) || strings.ContainsRune(`/\:*?<>|`, r) {
			return '_'
		}
		return r
	}, name)
	name = strings.Trim(name, ". ")
	if len(name) > maxFilename {
		ext := ""
		if dot := strings.LastIndexByte(name, '.'); len(name)-dot <= 16 {
			ext = name[dot:]
		}
		cut := maxFilename - len(ext)
		for !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = strings.TrimRight(name[:cut], ". ") + ext
	}
	if name == "" {
		return "image"
	}
	return name
}

// extValue encodes the bytes of s but for the attr-char of RFC 8187.
func extValue(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
