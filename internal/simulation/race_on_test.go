//go:build race

package simulation

// usualRuns are few under the race detector, which makes each three times as dear and has little to find: between two effects only one process runs.
const usualRuns = 40
