package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/typedbus/events/benchmarks/internal/ledger"
	"github.com/typedbus/events/benchmarks/internal/scenario"
)

// significant returns v with three significant digits and without an exponent.
func significant(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(0, digits), 64)
}

// factor returns v as a multiple.
func factor(v float64) string { return trim(significant(v)) + "×" }

// trim leaves out decimals that are all zero.
func trim(number string) string {
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	return number
}

// amount returns v with the unit of the metric.
func amount(v float64, metric scenario.Metric) string {
	switch metric {
	case scenario.Bytes:
		return scaled(v, 1000, "B", "kB", "MB")
	case scenario.Allocs:
		// What a run allocates once, spread over its events, is not an allocation per event.
		if v < 0.005 {
			return "0"
		}
		return trim(significant(v))
	default:
		return scaled(v, 1000, "ns", "µs", "ms", "s")
	}
}

// scaled returns v in the largest unit of which it is at least one.
func scaled(v, step float64, units ...string) string {
	i := 0
	for ; v >= step && i < len(units)-1; i++ {
		v /= step
	}
	return significant(v) + " " + units[i]
}

// spread returns how far the median of a figure is to be believed.
func spread(f ledger.Figure) string {
	s := f.Spread()
	if math.IsInf(s, 0) || math.IsNaN(s) {
		return "±?"
	}
	return fmt.Sprintf("±%.0f%%", 100*s)
}
