// Package simulation drives the whole service through random interleavings of users, events and faults, and checks after each run that its promises
// hold. It is a test and nothing else.
package simulation
