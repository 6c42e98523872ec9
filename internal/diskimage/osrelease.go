package diskimage

import "strings"

// parseOSRelease reads ID and VERSION_ID of an os-release file; see os-release(5). Values that could not be property values are dropped.
func parseOSRelease(text []byte) (id, version string) {
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			id = plain(strings.ToLower(value))
		case "VERSION_ID":
			version = plain(value)
		}
	}
	return id, version
}

// plain returns s when it is made of the characters that os-release(5) allows in identifiers, else "".
func plain(s string) string {
	if len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+~") != "" {
		return ""
	}
	return s
}

// distros maps ID to the names of os_distro in Glance's "useful image properties"; other ids stay as they are.
var distros = map[string]string{
	"opensuse-leap":       "opensuse",
	"opensuse-tumbleweed": "opensuse",
	"archarm":             "arch",
	"redhat":              "rhel",
}
