// Package fetch reads files from addresses that strangers name, without letting them reach what only this host can reach.
//
// An address is checked three times: as text (Rules.CheckURL: schemes, ports, hosts, numbers in disguise), again for every redirect, and at the
// moment of dialling, where the name is resolved once, every address of the answer is checked, and a checked address itself is dialled. A name
// that changes its answer afterwards changes nothing. Proxy variables, cookies, credentials and the Referer header are not used.
//
// What goes wrong behind the check of the text is told in a few words that do not differ between a name that does not exist, an address that is refused, and
// a port that is closed: the words and the retries must not make this host a scanner of its own network. The cause is for the log.
//
//	rules.go     Rules: what may be reached; Exception
//	address.go   which IP addresses are of the public internet
//	client.go    Client: resolve, check, dial, redirect
//	source.go    Source: one file, pinned, by ranges or as one stream that mends itself
//	error.go     what a user is told
package fetch
