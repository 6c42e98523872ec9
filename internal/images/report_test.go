package images

import (
	"slices"
	"strings"
	"testing"
)

func TestAReportInARecordIsBounded(t *testing.T) {
	long := strings.Repeat("ü", 1000)
	r := &Report{Bootable: true, Evidence: slices.Repeat([]string{long}, 100), Warnings: slices.Repeat([]Warning{{"code", long, "a\xffb"}}, 100)}
	got := r.bounded()
	if !got.Bootable || len(got.Evidence) != maxFindings || len(got.Warnings) != maxFindings {
		t.Fatalf("%d sentences, %d warnings, want %d each", len(got.Evidence), len(got.Warnings), maxFindings)
	}
	if s := got.Warnings[0].Message; len(s) > maxSentence || s != strings.ToValidUTF8(s, "") || got.Warnings[0].Hint != "ab" {
		t.Errorf("a sentence has %d bytes, the hint is %q", len(s), got.Warnings[0].Hint)
	}
	if empty := (&Report{}).bounded(); empty.Evidence == nil || empty.Warnings == nil {
		t.Error("lists of JSON are never null")
	}
}
