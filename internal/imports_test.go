// Package internal holds one test: that imports point one way.
package internal

import (
	"os/exec"
	"strings"
	"testing"
)

// rules say what a package must not reach, directly or not.
var rules = []struct {
	pkg   string
	never []string
	why   string
}{
	{"bullion/internal/images", []string{"bullion/", "github.com/", "golang.org/", "modernc.org/", "net/http", "database/sql"}, "the domain is the standard library alone"},
	{"bullion/internal/diskimage", []string{"bullion/internal/images", "bullion/internal/api", "github.com/aws/", "net/http"}, "the inspection knows only io.ReaderAt; it also runs in the browser"},
	{"bullion/internal/api", []string{"github.com/aws/", "database/sql", "bullion/internal/dynamostore", "bullion/internal/sqlitestore", "bullion/internal/s3store", "bullion/internal/cloud"}, "the API knows the service, not the stores"},
	{"bullion/internal/policy", []string{"github.com/aws/", "net/http", "database/sql"}, "rules are pure"},
	{"bullion/internal/dynamostore", []string{"bullion/internal/api", "bullion/internal/cloud"}, "stores know the domain alone"},
	{"bullion/internal/sqlitestore", []string{"bullion/internal/api", "github.com/aws/"}, "stores know the domain alone"},
	{"bullion/internal/s3store", []string{"bullion/internal/api", "bullion/internal/cloud"}, "stores know the domain alone"},
	{"bullion/internal/validation", []string{"bullion/internal/api", "github.com/aws/", "database/sql"}, "the validation knows the contracts, not the stores"},
	{"bullion/internal/notify", []string{"bullion/internal/api", "github.com/aws/", "database/sql", "bullion/internal/sqlitestore"}, "what tells of events knows neither the stores nor the hosts"},
	{"bullion/functions/images", []string{"bullion/internal/sqlitestore", "modernc.org/", "github.com/versity/"}, "a function ships only what it runs"},
	{"bullion/functions/validate", []string{"bullion/internal/sqlitestore", "bullion/internal/api", "github.com/versity/"}, "a function ships only what it runs"},
}

func TestImportsPointOneWay(t *testing.T) {
	for _, r := range rules {
		t.Run(strings.TrimPrefix(r.pkg, "bullion/"), func(t *testing.T) {
			out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}", r.pkg).Output()
			if err != nil {
				t.Fatalf("go list -deps %s: %v", r.pkg, err)
			}
			for _, dep := range strings.Fields(string(out)) {
				if dep == r.pkg || strings.HasPrefix(dep, "vendor/") {
					continue
				}
				for _, never := range r.never {
					if dep == never || strings.HasSuffix(never, "/") && strings.HasPrefix(dep, never) {
						t.Errorf("%s imports %s: %s", r.pkg, dep, r.why)
					}
				}
			}
		})
	}
}
