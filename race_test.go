//go:build race

package events_test

// raceEnabled is for tests that measure, which the race detector's own use of
// time and memory would falsify.
const raceEnabled = true
