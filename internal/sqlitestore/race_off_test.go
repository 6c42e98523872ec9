//go:build !race

package sqlitestore

const manyRecords, queries = 100_000, 1500
