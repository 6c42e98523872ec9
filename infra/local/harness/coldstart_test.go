package harness

import (
	"cmp"
	"flag"
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
)

var coldWithin = flag.Duration("cold-within", 0, "fail where a function takes longer from the start of its process to its first answer; 0 only shows how long, for when other tests run beside")

const (
	apiMemory    = 64 << 20 // bytes resident, of the functions of the API
	starts       = 3        // that are looked at in any case
	startsAtMost = 40       // on a machine that does something else too, until one was quick enough
)

// TestColdStartsAndMemoryAreWithinBounds has each function do its work, which shows the memory that it needs, and then start again and again. The first answer waits
// for the emulations of what the function asks, and for whatever else the machine does, so the best start counts.
func TestColdStartsAndMemoryAreWithinBounds(t *testing.T) {
	c := deploy(t)
	token := c.signIn("bob", "default")
	file, content := c.disk(20<<20 + 512)
	id := c.bullion("image", "create", "--quiet", "--disk-format", "raw", "--file", file, "disk")
	c.imports(token, "raw", c.source(content, true), "active")
	invoke := func(name, payload string) func() {
		return func() {
			if _, err := c.Functions[name].Invoke(t.Context(), c.sample(payload)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "function\tstarts\tprocess start until ready\tto first answer\tmost memory")
	for _, f := range []struct {
		name  string
		isAPI bool
		ask   func()
	}{
		{"identity", true, func() { c.signIn("bob", "default") }},
		{"images", true, func() { c.call(token, "GET", "/v2/images?limit=5", "", 200) }},
		{"uploads", true, func() { c.call(token, "GET", "/v2/images/"+id+"/uploads/"+id, "", 404) }},
		{"validate", false, invoke("validate", "validate.eventbridge.json")},
		{"importer", false, invoke("importer", "importer.image.json")},
		{"scrub", false, invoke("scrub", "scrub.round.json")},
	} {
		f.ask() // in a process that did the work, or in a new one
		best, n := ColdStart{}, 0
		see := func() {
			for _, s := range c.Functions[f.name].Close() {
				n++
				best = ColdStart{min(cmp.Or(best.Ready, s.Ready), s.Ready), min(cmp.Or(best.Cold, s.Cold), s.Cold), max(best.Memory, s.Memory)}
			}
		}
		tooLong := func() bool { return *coldWithin > 0 && best.Cold > *coldWithin }
		for see(); n < starts || tooLong() && n < startsAtMost; see() {
			f.ask()
		}
		fmt.Fprintf(w, "%s\t%d\t%d ms\t%d ms\t%d MiB\n", f.name, n, best.Ready.Milliseconds(), best.Cold.Milliseconds(), best.Memory>>20)
		if tooLong() {
			t.Errorf("%s took %v from the start of its process to its first answer in the best of %d starts, want at most %v", f.name, best.Cold, n, *coldWithin)
		}
		if f.isAPI && best.Memory > apiMemory {
			t.Errorf("%s needed %d MiB, want at most %d", f.name, best.Memory>>20, apiMemory>>20)
		}
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
	t.Log("\n" + b.String())
}
