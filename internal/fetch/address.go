package fetch

import (
	"bytes"
	"net/netip"
)

// refused4 are the networks of the IANA IPv4 Special-Purpose Address Registry that are not globally reachable, multicast, and what clouds keep on addresses that
// look public.
var refused4 = prefixes(
	"0.0.0.0/8",        // this network
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // carrier-grade NAT; Alibaba's metadata 100.100.100.200
	"127.0.0.0/8",      // loopback
	"169.254.0.0/16",   // link-local; metadata of most clouds
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocol assignments; Oracle's metadata 192.0.0.192
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, broadcast
	"168.63.129.16/32", // Azure's wire server
)

// global6 is all of IPv6 that is given out for the public internet; refused6 are the parts of it that lead elsewhere. Mapped and compatible IPv4, NAT64
// (64:ff9b::/96 and 64:ff9b:1::/48), unique local, link-local and multicast addresses are outside of it.
var (
	global6  = netip.MustParsePrefix("2000::/3")
	refused6 = prefixes(
		"2001::/23",     // protocol assignments: Teredo, ORCHID, benchmarks
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4: an IPv4 address inside
		"3fff::/20",     // documentation
	)
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for n, text := range texts {
		list[n] = netip.MustParsePrefix(text)
	}
	return list
}

// Public says whether an address is of the public internet, and nothing else in disguise.
func Public(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
		return false
	}
	refused := refused4
	if a.Is6() {
		if !global6.Contains(a) || isatap(a) {
			return false
		}
		refused = refused6
	}
	for _, p := range refused {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// isatap says whether the interface part of the address holds an IPv4 address (RFC 5214).
func isatap(a netip.Addr) bool {
	b := a.As16()
	return bytes.Equal(b[9:12], []byte{0, 0x5e, 0xfe}) && b[8]&^2 == 0
}
