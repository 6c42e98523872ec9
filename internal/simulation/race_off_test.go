//go:build !race

package simulation

const usualRuns = 300
