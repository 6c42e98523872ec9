package internal

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	goTest      = regexp.MustCompile("`([^`]+)` ((?:Test|Fuzz)[A-Za-z0-9]+)")
	browserTest = regexp.MustCompile("`([^`]+[.]ts)` “([^”]+)”")
)

func TestTheTableOfAttacksNamesTestsThatExist(t *testing.T) {
	document, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(document), "## Attacks")
	table, _, _ = strings.Cut(table, "\n## ")
	seen := map[string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || strings.Contains(line, "---") || strings.Contains(line, "| attack |") {
			continue
		}
		attack, tests := strings.TrimSpace(cells[1]+cells[2]), cells[4]
		seen[strings.TrimSpace(cells[1])] = true
		found := 0
		for _, m := range goTest.FindAllStringSubmatch(tests, -1) {
			found++
			if !contains(t, filepath.Join("..", m[1], "*_test.go"), "\nfunc "+m[2]+"(") {
				t.Errorf("attack %s: there is no test %s in %s", attack, m[2], m[1])
			}
		}
		for _, m := range browserTest.FindAllStringSubmatch(tests, -1) {
			found++
			if !contains(t, filepath.Join("..", m[1]), "test('"+m[2]+"'") {
				t.Errorf("attack %s: there is no test %q in %s", attack, m[2], m[1])
			}
		}
		if found == 0 || found != strings.Count(tests, "`")/2 {
			t.Errorf("attack %s: %d of the tests of %q can be read", attack, found, tests)
		}
	}
	for n := 1; n <= 25; n++ {
		if !seen["A"+strconv.Itoa(n)] {
			t.Errorf("attack A%d is not in the table", n)
		}
	}
}

func contains(t *testing.T, pattern, text string) bool {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), text) {
			return true
		}
	}
	return false
}
