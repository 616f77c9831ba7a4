package main

import (
	"bufio"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/typedbus/events/benchmarks/internal/report"
)

// describe returns what a reader has to know about a run.
func describe(command string, begin time.Time) report.Run {
	return report.Run{
		Processor: processor(),
		Cores:     runtime.GOMAXPROCS(0),
		Platform:  runtime.GOOS + "/" + runtime.GOARCH,
		Go:        runtime.Version(),
		Date:      begin,
		Took:      time.Since(begin),
		Command:   command,
	}
}

// processor returns the name that the processor goes by, as far as the system tells.
func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
