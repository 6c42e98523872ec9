package fetch

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// notations are the ways in which an address of a private network can be written so that a check that is not strict lets it pass.
var notations = []struct{ name, url string }{
	{"another scheme: a file", "file:///proc/self/environ"},
	{"another scheme: ftp", "ftp://example.org/a"},
	{"another scheme: gopher", "gopher://example.org:80/a"},
	{"no scheme", "example.org/a"},
	{"no host", "http:///a"},
	{"opaque", "http:example.org"},
	{"empty", ""},
	{"loopback", "http://127.0.0.1/a"},
	{"all of loopback", "http://127.8.9.10/a"},
	{"loopback by name", "http://localhost/a"},
	{"loopback by name with a dot", "http://LocalHost./a"},
	{"a name below localhost", "http://a.localhost/"},
	{"a name of the local network", "http://printer.local/"},
	{"a name without a domain", "http://metadata/"},
	{"the metadata service by name", "http://metadata.google.internal/"},
	{"this host", "http://0.0.0.0/"},
	{"ten", "http://10.0.0.1/"},
	{"172.16", "http://172.31.255.255/"},
	{"192.168", "http://192.168.1.1/"},
	{"link-local: metadata", "http://169.254.169.254/latest/meta-data/"},
	{"link-local: container credentials", "http://169.254.170.2/"},
	{"carrier-grade NAT: metadata of Alibaba", "http://100.100.100.200/"},
	{"metadata of Oracle", "http://192.0.0.192/"},
	{"Azure's wire server", "http://168.63.129.16/"},
	{"multicast", "http://224.0.0.1/"},
	{"broadcast", "http://255.255.255.255/"},
	{"decimal", "http://2130706433/"},
	{"octal", "http://0177.0.0.1/"},
	{"octal in one number", "http://017700000001/"},
	{"hexadecimal", "http://0x7f000001/"},
	{"hexadecimal parts", "http://0x7f.0x0.0x0.0x1/"},
	{"an empty hexadecimal number", "http://127.0.0.0x/"},
	{"two parts", "http://127.1/"},
	{"three parts", "http://127.0.1/"},
	{"leading zeros", "http://127.000.000.001/"},
	{"five parts", "http://127.0.0.1.1/"},
	{"a dot behind the address", "http://127.0.0.1./"},
	{"too large a number", "http://4294967297/"},
	{"percent-encoded", "http://%31%32%37.0.0.1/"},
	{"full-width digits", "http://１２７.0.0.1/"},
	{"circled digits", "http://①②⑦.0.0.1/"},
	{"another dot", "http://127。0。0。1/"},
	{"IPv6 loopback", "http://[::1]/"},
	{"IPv6 any", "http://[::]/"},
	{"IPv6 loopback at length", "http://[0:0:0:0:0:0:0:1]/"},
	{"IPv4 mapped", "http://[::ffff:127.0.0.1]/"},
	{"IPv4 mapped in hexadecimal", "http://[::ffff:7f00:1]/"},
	{"IPv4 mapped, a public one", "http://[::ffff:8.8.8.8]/"},
	{"IPv4 compatible", "http://[::127.0.0.1]/"},
	{"NAT64", "http://[64:ff9b::7f00:1]/"},
	{"NAT64 of a local prefix", "http://[64:ff9b:1::a9fe:a9fe]/"},
	{"6to4", "http://[2002:7f00:1::]/"},
	{"Teredo", "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/"},
	{"ISATAP", "http://[2a00:1450::5efe:7f00:1]/"},
	{"unique local", "http://[fd00:ec2::254]/"},
	{"IPv6 link-local", "http://[fe80::1]/"},
	{"IPv6 link-local with a zone", "http://[fe80::1%25eth0]/"},
	{"IPv6 multicast", "http://[ff02::1]/"},
	{"IPv6 documentation", "http://[2001:db8::1]/"},
	{"segment routing", "http://[5f00::1]/"},
	{"user and password", "http://user:secret@example.org/"},
	{"a host that looks like a user", "http://example.org@127.0.0.1/"},
	{"a backslash", `http://example.org\@127.0.0.1/`},
	{"a space", "http://127.0.0.1 .example.org/"},
	{"a line break", "http://example.org/\r\nHost: a"},
	{"a tab", "http://127.0.0.1\t/"},
	{"a port that is not allowed", "http://example.org:22/"},
	{"the port of Redis", "http://example.org:6379/"},
	{"port nought", "http://example.org:0/"},
	{"a port with a leading nought", "http://example.org:080/"},
	{"a port that is too large", "http://example.org:65536/"},
	{"a colon without a port", "http://example.org:/"},
	{"an empty label", "http://example..org/"},
	{"a very long address", "http://example.org/" + strings.Repeat("a", maxURL)},
}

func TestAddressesThatReachElsewhereAreRefusedAsText(t *testing.T) {
	var rules Rules
	for _, c := range notations {
		t.Run(c.name, func(t *testing.T) {
			if u, err := rules.CheckURL(c.url); err == nil {
				t.Errorf("%s passes as %s", c.url, u)
			}
		})
	}
}

func TestAddressesOfThePublicInternetPass(t *testing.T) {
	var rules Rules
	for url, want := range map[string]string{
		"https://cloud.debian.org/images/a.qcow2":       "https://cloud.debian.org/images/a.qcow2",
		"http://Example.ORG./a?b=c#d":                   "http://example.org/a?b=c",
		"https://example.org:443/":                      "https://example.org/",
		"http://example.org:8080/a%20b":                 "http://example.org:8080/a%20b",
		"http://1.1.1.1/":                               "http://1.1.1.1/",
		"http://[2606:4700:4700:0::1111]:8080/":         "http://[2606:4700:4700::1111]:8080/",
		"https://xn--bcher-kva.example/":                "https://xn--bcher-kva.example/",
		"https://a_b.s3.amazonaws.com/k?X-Amz-Date=1&a": "https://a_b.s3.amazonaws.com/k?X-Amz-Date=1&a",
	} {
		got, err := rules.CheckURL(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
		} else if got.String() != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}

func TestTheOperatorNarrowsAndWidensWhatMayBeReached(t *testing.T) {
	except := func(text string) []Exception {
		e, err := ParseException(text)
		if err != nil {
			t.Fatal(err)
		}
		return []Exception{e}
	}
	for _, c := range []struct {
		name  string
		rules Rules
		url   string
		want  bool
	}{
		{"a host of the list", Rules{Only: []string{"*.debian.org"}}, "https://cloud.debian.org/", true},
		{"a host beside the list", Rules{Only: []string{"*.debian.org"}}, "https://evildebian.org/", false},
		{"a denied host", Rules{Deny: []string{"example.org"}}, "https://example.org/", false},
		{"a denied network", Rules{Deny: []string{"1.1.1.0/24"}}, "https://1.1.1.1/", false},
		{"another port", Rules{Ports: []uint16{443}}, "http://example.org/", false},
		{"a private address that is an exception", Rules{Except: except("127.0.0.1:8000")}, "http://127.0.0.1:8000/", true},
		{"its neighbour", Rules{Except: except("127.0.0.1:8000")}, "http://127.0.0.2:8000/", false},
		{"its other ports", Rules{Except: except("127.0.0.1:8000")}, "http://127.0.0.1/", false},
		{"a private network on the usual ports", Rules{Except: except("10.0.0.0/8")}, "http://10.2.3.4:8080/", true},
		{"a private network on another port", Rules{Except: except("10.0.0.0/8")}, "http://10.2.3.4:22/", false},
		{"an IPv6 network", Rules{Except: except("[fd00::/8]:8000")}, "http://[fd00::1]:8000/", true},
		{"a local name that is an exception", Rules{Except: except("mirror.internal")}, "http://mirror.internal/", true},
		{"another local name", Rules{Except: except("mirror.internal")}, "http://other.internal/", false},
		{"an exception that is denied", Rules{Except: except("10.0.0.0/8"), Deny: []string{"10.0.0.1"}}, "http://10.0.0.1/", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := c.rules.CheckURL(c.url); (err == nil) != c.want {
				t.Errorf("allowed %v (%v), want %v", err == nil, err, c.want)
			}
		})
	}
	for _, text := range []string{"", "10.0.0.0/33", "127.0.0.1:0", "[::1", "[::1]8", "a b", "127.1", "fe80::1%eth0"} {
		if e, err := ParseException(text); err == nil {
			t.Errorf("%q is taken as %+v", text, e)
		}
	}
}

func FuzzNoAddressThatPassesIsOfAPrivateNetwork(f *testing.F) {
	for _, c := range notations {
		f.Add(c.url)
	}
	f.Add("https://example.org:8443/a?b=c#d")
	f.Add("http://[2606:4700::1]/")
	var rules Rules
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := rules.CheckURL(raw)
		if err != nil {
			return
		}
		if u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("%q passes as %s", raw, u)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && !Public(a) {
			t.Fatalf("%q reaches %s", raw, a)
		}
		if port, err := portOf(u); err != nil || !slices.Contains(DefaultPorts, port) {
			t.Fatalf("%q reaches port %d: %v", raw, port, err)
		}
		again, err := rules.CheckURL(u.String())
		if err != nil || again.String() != u.String() {
			t.Fatalf("%q becomes %q becomes %v: %v", raw, u, again, err)
		}
	})
}
