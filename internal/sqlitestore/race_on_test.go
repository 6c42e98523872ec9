//go:build race

package sqlitestore

// The race detector makes the engine ten times slower; what it looks for does not need many records.
const manyRecords, queries = 2_000, 100
