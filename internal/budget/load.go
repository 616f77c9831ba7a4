package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A load is the number of processes that wanted a processor, on average over
// the last minute. It is negative where the system does not say.
type load float64

// What load is too much. The benchmarks themselves keep up to two processors
// busy, which the load afterwards includes.
const (
	busyBefore load = 1
	busyAfter  load = 2 + busyBefore
)

func readLoad() load {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return -1
	}
	return parseLoad(string(text))
}

func parseLoad(text string) load {
	first, _, _ := strings.Cut(text, " ")
	l, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return -1
	}
	return load(l)
}

// describe returns the lines that tell the reader, the second a warning if the
// load was above the given one.
func (l load) describe(when string, busy load) []string {
	if l < 0 {
		return nil
	}
	lines := []string{fmt.Sprintf("The machine's load %s the benchmarks: %.2f.", when, float64(l))}
	if l > busy {
		lines = append(lines, fmt.Sprintf("WARNING: a load above %v %s them means that something else ran. The figures are not to be trusted, nor is the ranking of two designs.", busy, when))
	}
	return lines
}
