package harness

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bullion/internal/metrics"
)

// series are what an alarm or a widget shows of our own: names with their dimensions, as "Uploads by Stack,State".
type series map[string]bool

func named(metric, dimensions string) string { return metric + " by " + dimensions }

var search = regexp.MustCompile(`SEARCH\('\{Bullion,([A-Za-z,]+)\}[^']*MetricName="([A-Za-z]+)"`)

// shown are the series in the widgets of a dashboard.
func (s series) shown(t testing.TB, body string) {
	t.Helper()
	var dashboard struct {
		Widgets []struct {
			Properties struct {
				Metrics [][]any
				Query   string
			}
		}
	}
	ok(t, json.Unmarshal([]byte(body), &dashboard))
	for _, w := range dashboard.Widgets {
		var before []string
		for _, m := range w.Properties.Metrics {
			var row []string
			for _, cell := range m {
				switch cell := cell.(type) {
				case string:
					switch {
					case cell == "...":
						row = slices.Clone(before)
					case cell == ".":
						row = append(row, before[len(row)])
					default:
						row = append(row, cell)
					}
				case map[string]any:
					if found := search.FindStringSubmatch(fmt.Sprint(cell["expression"])); found != nil {
						s[named(found[2], found[1])] = true
					}
				}
			}
			if before = row; len(row) < 2 || row[0] != metrics.Namespace {
				continue
			}
			dimensions := []string{}
			for n := 2; n < len(row); n += 2 {
				dimensions = append(dimensions, row[n])
			}
			s[named(row[1], strings.Join(dimensions, ","))] = true
		}
	}
}

// TestTheDashboardAndTheAlarmsShowWhatTheCodeWrites holds the names together, in both directions.
func TestTheDashboardAndTheAlarmsShowWhatTheCodeWrites(t *testing.T) {
	written := series{}
	for _, m := range metrics.All {
		dimensions := "Stack"
		if m.Dimension != "" {
			dimensions += "," + m.Dimension
		}
		written[named(m.Name, dimensions)] = true
	}
	template, err := ReadTemplate(root+"/template.yaml", map[string]string{"AWS::StackName": "bullion", "AWS::Region": region, "Table": "t", "IdentityTable": "i", "ImagesBucket": "b",
		"UserPool": "p", "UserPoolClient": "c", "Distribution.DomainName": "d"})
	ok(t, err)
	shown := series{}
	shown.shown(t, template.Resources["Dashboard"].Properties["DashboardBody"].(string))
	for _, name := range slices.Sorted(maps.Keys(written)) {
		if !shown[name] {
			t.Errorf("the code writes %s, which the dashboard does not show", name)
		}
	}
	for id, r := range template.Resources {
		if r.Type == "AWS::CloudWatch::Alarm" && r.Properties["Namespace"] == metrics.Namespace {
			var dimensions []string
			for _, d := range r.Properties["Dimensions"].([]any) {
				dimensions = append(dimensions, d.(map[string]any)["Name"].(string))
			}
			shown[named(r.Properties["MetricName"].(string), strings.Join(dimensions, ","))] = true
			t.Logf("%s watches %v", id, r.Properties["MetricName"])
		}
	}
	for name := range shown {
		if !written[name] {
			t.Errorf("the template shows %s, which the code does not write", name)
		}
	}
}

// measured are the series in the logs of the functions, each line checked against what CloudWatch wants of it.
func measured(t testing.TB, log string) series {
	t.Helper()
	found := series{}
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"_aws"`) {
			continue
		}
		var doc map[string]any
		ok(t, json.Unmarshal([]byte(line), &doc))
		head := doc["_aws"].(map[string]any)
		if at, isNumber := head["Timestamp"].(float64); !isNumber || at < 1.7e12 {
			t.Errorf("the line has no time in milliseconds: %s", line)
		}
		for _, d := range head["CloudWatchMetrics"].([]any) {
			directive := d.(map[string]any)
			if directive["Namespace"] != metrics.Namespace {
				t.Errorf("got the namespace %v", directive["Namespace"])
			}
			var dimensions []string
			for _, name := range directive["Dimensions"].([]any)[0].([]any) {
				dimensions = append(dimensions, name.(string))
				if value, isText := doc[name.(string)].(string); !isText || value == "" {
					t.Errorf("the line lacks a value of its dimension %v: %s", name, line)
				}
			}
			for _, m := range directive["Metrics"].([]any) {
				name := m.(map[string]any)["Name"].(string)
				if _, isNumber := doc[name].(float64); !isNumber {
					t.Errorf("the line lacks a number for %s: %s", name, line)
				}
				found[named(name, strings.Join(dimensions, ","))] = true
			}
		}
	}
	return found
}
