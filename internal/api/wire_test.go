package api

import (
	"encoding/json"
	"testing"
)

func FuzzAppendStringIsWhatEncodingJSONWrites(f *testing.F) {
	for _, s := range []string{"", "debian", `a "quoted" \ name`, "<script>&", "Größe\u2028\x7f", "\xff\x00\n", " ~"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(appendString([]byte("x"), s)); got != "x"+string(want) {
			t.Errorf("%q is written as %s, wanted %s", s, got, want)
		}
	})
}
