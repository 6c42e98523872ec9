// Package metrics writes measurements as lines of JSON in CloudWatch's embedded metric format
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html): the log of a function becomes metrics, without
// a call and without a library.
//
// Every metric with every value of its dimensions costs by the hour in which it was written, so an idle service pays for none, and what has many values is a field
// of the line rather than a dimension: the route of a request. Logs Insights counts by fields; the dashboard of template.yaml does that. A test holds the alarms and the dashboard and All
// together.
package metrics

import (
	"encoding/json"
	"io"
	"strings"
	"sync"
	"time"
)

// Namespace is that of all metrics.
const Namespace = "Bullion"

// Metric is one series of measurements. All of them have the dimension Stack.
type Metric struct {
	Name, Unit string // the unit in CloudWatch's words
	Dimension  string // a second one beside Stack; "" for none
}

// All are the metrics that there are.
var (
	Latency        = Metric{"Latency", "Milliseconds", ""}        // of a request, in the function; fields Route, Status, Function
	Errors         = Metric{"Errors", "Count", "Kind"}            // answers of 4xx and 5xx, by Kinds
	Uploads        = Metric{"Uploads", "Count", "State"}          // uploads that came to a state: images.UploadState
	Bytes          = Metric{"Bytes", "Bytes", ""}                 // of an upload that was accepted
	ValidationTime = Metric{"ValidationTime", "Milliseconds", ""} // from the arrival of the bytes to accepted or rejected
	QueueAge       = Metric{"QueueAge", "Seconds", ""}            // for how long the oldest thing waits that scrub finds due; not written when there is none

	All = []Metric{Latency, Errors, Uploads, Bytes, ValidationTime, QueueAge}
)

// Writer writes the measurements of one function.
type Writer struct {
	out             io.Writer
	stack, function string
	now             func() time.Time

	mu sync.Mutex
}

// New makes the Writer of a function that is named as template.yaml does: the stack, a dash, and what the function is.
func New(out io.Writer, function string, now func() time.Time) *Writer {
	at := strings.LastIndexByte(function, '-')
	return &Writer{out: out, stack: function[:max(at, 0)], function: function[at+1:], now: now}
}

// Put writes one measurement. value is that of the metric's own dimension, "" when it has none; fields can be searched for and cost nothing more.
func (w *Writer) Put(m Metric, measured float64, value string, fields map[string]any) {
	dimensions := []string{"Stack"}
	line := map[string]any{"Function": w.function}
	for name, field := range fields {
		line[name] = field
	}
	line["Stack"], line[m.Name] = w.stack, measured
	if m.Dimension != "" {
		dimensions = append(dimensions, m.Dimension)
		line[m.Dimension] = value
	}
	line["_aws"] = map[string]any{"Timestamp": w.now().UnixMilli(), "CloudWatchMetrics": []any{map[string]any{
		"Namespace": Namespace, "Dimensions": [][]string{dimensions}, "Metrics": []map[string]string{{"Name": m.Name, "Unit": m.Unit}},
	}}}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err) // only values of this program get here
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.out.Write(append(text, '\n')) // there is nowhere to complain
}
