// Package beside measures the engines beside bare clients: what a program would do
// without them, with a table of its own, by the same driver with the same settings. It has
// benchmarks only (make bench-durable).
package beside
