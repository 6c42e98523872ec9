package harness

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Schedule is an event that comes again and again.
type Schedule struct {
	Function string
	Every    time.Duration
	Input    string // JSON
}

// readSchedules reads the schedules of a template's functions.
func readSchedules(file string, parameters map[string]string) ([]Schedule, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Parameters map[string]struct {
			Default string `yaml:"Default"`
		} `yaml:"Parameters"`
		Resources map[string]struct {
			Properties struct {
				FunctionName yaml.Node `yaml:"FunctionName"`
				Events       yaml.Node `yaml:"Events"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var all []Schedule
	for id, resource := range doc.Resources {
		name := functionName.FindStringSubmatch(resource.Properties.FunctionName.Value)
		if name == nil {
			continue
		}
		var events map[string]struct {
			Type       string    `yaml:"Type"`
			Properties yaml.Node `yaml:"Properties"`
		}
		if err := resource.Properties.Events.Decode(&events); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, id, err)
		}
		for event, e := range events {
			if e.Type != "Schedule" {
				continue
			}
			var p struct {
				Schedule yaml.Node `yaml:"Schedule"`
				Input    string    `yaml:"Input"`
			}
			if err := e.Properties.Decode(&p); err != nil {
				return nil, fmt.Errorf("%s: %s: %s: %w", file, id, event, err)
			}
			rate := p.Schedule.Value
			if p.Schedule.Tag == "!Ref" {
				rate = cmp.Or(parameters[rate], doc.Parameters[rate].Default)
			}
			every, err := interval(rate)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %s: %w", file, id, event, err)
			}
			all = append(all, Schedule{name[1], every, cmp.Or(p.Input, "{}")})
		}
	}
	return all, nil
}

var (
	functionName = regexp.MustCompile(`^\$\{AWS::StackName\}-([a-z]+)$`)
	ofTime       = regexp.MustCompile(`^rate\((\d+) (minute|hour|day)s?\)$`)
)

// interval reads a schedule, as rate(5 minutes).
func interval(rate string) (time.Duration, error) {
	m := ofTime.FindStringSubmatch(rate)
	if m == nil {
		return 0, fmt.Errorf("the schedule %q is no rate of minutes, hours or days", rate)
	}
	n, err := strconv.Atoi(m[1])
	return time.Duration(n) * map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[m[2]], err
}
