package fetch

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// DefaultPorts are the ports that may be reached when nothing else is said.
var DefaultPorts = []uint16{80, 443, 8080, 8443}

// Rules say what may be reached. The zero value is the public internet on DefaultPorts.
type Rules struct {
	Ports []uint16 // nil: DefaultPorts
	// Only are the hosts that may be reached; empty: all. A host is a name, or *. and a name for everything below it, or an IP address.
	Only []string
	// Deny are hosts, in the same form, and networks, that may not be reached although the rest allows it.
	Deny []string
	// Except are private places that may be reached although they are not of the public internet.
	Except []Exception
}

// Exception is a private network or a host that may be reached, on one port or on those of the Rules.
type Exception struct {
	Network netip.Prefix // not valid when it is a host by name
	Host    string       // lower case
	Port    uint16       // 0: those of the Rules
}

// ParseException reads what --import-allow takes: a network, an address or a host name, and a port if one is wanted: 10.0.0.0/8, 127.0.0.1:8000,
// [fd00::/8]:443, mirror.example.org.
func ParseException(text string) (e Exception, err error) {
	rest := text
	if inner, after, ok := strings.Cut(strings.TrimPrefix(text, "["), "]"); ok && strings.HasPrefix(text, "[") {
		rest = inner
		if after != "" && !strings.HasPrefix(after, ":") {
			return e, badException(text)
		}
		if after != "" {
			if e.Port, err = parsePort(after[1:]); err != nil {
				return e, badException(text)
			}
		}
	} else if strings.Count(text, ":") == 1 {
		var port string
		rest, port, _ = strings.Cut(text, ":")
		if e.Port, err = parsePort(port); err != nil {
			return e, badException(text)
		}
	}
	if e.Network, err = netip.ParsePrefix(rest); err == nil {
		e.Network = e.Network.Masked()
		return e, nil
	}
	if a, err := netip.ParseAddr(rest); err == nil && a.Zone() == "" {
		e.Network = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		return e, nil
	}
	if e.Host, err = cleanHost(rest); err != nil {
		return Exception{}, badException(text)
	}
	return e, nil
}

func badException(text string) error {
	return fmt.Errorf("%q is not a network, address or host with an optional port, as 10.0.0.0/8, 127.0.0.1:8000, [fd00::1]:443 or mirror.example.org", text)
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || text[0] == '0' || text[0] == '+' {
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", text)
	}
	return uint16(n), nil
}

// maxURL bounds an address, in bytes.
const maxURL = 2048

// CheckURL reads an address and refuses what can be refused without asking the network. The error is a sentence for the user.
func (r *Rules) CheckURL(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, refuse("The address has %d bytes; it may have %d.", len(raw), maxURL)
	}
	for _, b := range []byte(raw) {
		if b <= ' ' || b >= 0x7f || b == '\\' {
			return nil, refuse("The address holds the character %q; percent-encode it, or write the host in its ASCII form (xn--).", rune(b))
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, refuse("The address is not a URL, as https://example.org/disk.qcow2 is one.")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, refuse("The address begins with %.20q; use http:// or https://.", u.Scheme)
	case u.Opaque != "" || u.Host == "":
		return nil, refuse("The address names no host; write it as https://example.org/disk.qcow2.")
	case u.User != nil:
		return nil, refuse("The address holds a user name or password; they would be kept in the record. Use a public address, or one that is signed.")
	}
	host, err := cleanHost(u.Hostname())
	if err != nil {
		return nil, err
	}
	port, err := portOf(u)
	if err != nil {
		return nil, err
	}
	u.Fragment, u.RawFragment = "", ""
	u.Host = host
	if strings.Contains(host, ":") {
		u.Host = "[" + host + "]"
	}
	if port != defaultPort(u.Scheme) {
		u.Host += ":" + strconv.Itoa(int(port))
	}
	return u, r.check(host, port)
}

// check is what can be said of a host and port without resolving.
func (r *Rules) check(host string, port uint16) error {
	literal, parseErr := netip.ParseAddr(host)
	isLiteral := parseErr == nil
	if len(r.Only) > 0 && !matches(r.Only, host) || matches(r.Deny, host) {
		return refuse("The operator of this service does not allow imports from %s.", host)
	}
	ports := r.Ports
	if ports == nil {
		ports = DefaultPorts
	}
	// An exception by network may hold for a name as well; that is seen when it is resolved.
	wide := slices.Contains(ports, port) || slices.ContainsFunc(r.Except, func(e Exception) bool {
		return e.Port == port && (e.Host == host || e.Network.IsValid() && (!isLiteral || e.Network.Contains(literal)))
	})
	if !wide {
		return refuse("Port %d is not allowed for imports; use one of %v.", port, ports)
	}
	if isLiteral && !r.Reaches(host, literal, port) || !isLiteral && local(host) && !r.exceptsName(host, port) {
		return refuse("%s is not on the public internet; imports come from there alone.", host)
	}
	return nil
}

// Reaches says whether an address to which the host resolves may be dialled on the port.
func (r *Rules) Reaches(host string, a netip.Addr, port uint16) bool {
	ports := r.Ports
	if ports == nil {
		ports = DefaultPorts
	}
	if r.denies(a) {
		return false
	}
	usual := slices.Contains(ports, port)
	if usual && Public(a) {
		return true
	}
	return slices.ContainsFunc(r.Except, func(e Exception) bool {
		return (e.Port == port || e.Port == 0 && usual) && (e.Host == host && e.Host != "" || e.Network.IsValid() && e.Network.Contains(a))
	})
}

// denies says whether an address is on the list of what is denied, as an address or in a network.
func (r *Rules) denies(a netip.Addr) bool {
	return slices.ContainsFunc(r.Deny, func(text string) bool {
		if p, err := netip.ParsePrefix(text); err == nil {
			return p.Contains(a)
		}
		denied, err := netip.ParseAddr(text)
		return err == nil && denied == a
	})
}

func (r *Rules) exceptsName(host string, port uint16) bool {
	return slices.ContainsFunc(r.Except, func(e Exception) bool {
		return (e.Port == port || e.Port == 0) && (e.Host == host || e.Network.IsValid())
	})
}

// local says whether a name is for this machine or network by its form alone.
func local(host string) bool {
	if !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range []string{".localhost", ".local", ".internal", ".localdomain", ".home.arpa", ".in-addr.arpa", ".ip6.arpa"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

func matches(patterns []string, host string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		p = strings.ToLower(p)
		if below, ok := strings.CutPrefix(p, "*."); ok {
			return strings.HasSuffix(host, "."+below)
		}
		return p == host
	})
}

// cleanHost returns a host as a canonical IP address or a name in lower case without a final dot. Numbers that some resolvers take for addresses (2130706433, 0x7f.1,
// 0177.0.0.1, 127.1) are refused, as are mapped addresses and zones: nobody who means well writes them.
func cleanHost(host string) (string, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" || a.Is4In6() {
			return "", refuse("The host %.60q is not written as the usual form of its address.", host)
		}
		return a.String(), nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	labels := strings.Split(name, ".")
	if name == "" || len(name) > 253 {
		return "", refuse("The host has %d characters; a name has 1 to 253.", len(name))
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", refuse("The host %.60q is not a name of letters, digits, dashes and dots.", host)
		}
	}
	// WHATWG URL, "ends in a number": a name whose last label is a number is an address in disguise.
	last := labels[len(labels)-1]
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == "" {
		return "", refuse("The host %.60q is a number; write an address as four decimal numbers, or use its name.", host)
	}
	return name, nil
}

func portOf(u *url.URL) (uint16, error) {
	text := u.Port()
	if text == "" {
		if strings.HasSuffix(u.Host, ":") {
			return 0, refuse("The address has a colon but no port behind its host.")
		}
		return defaultPort(u.Scheme), nil
	}
	port, err := parsePort(text)
	if err != nil {
		return 0, refuse("The port %.20q is not a number from 1 to 65535.", text)
	}
	return port, nil
}

func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}
