package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// margin is the number of unchanged lines around a change.
const margin = 3

// diff compares two versions of a file, in the unified format.
func diff(name string, before, after []byte) string {
	steps := compare(lines(before), lines(after))
	var out strings.Builder
	for _, hunk := range hunks(steps) {
		if out.Len() == 0 {
			old := "a/" + name
			if before == nil {
				old = "/dev/null"
			}
			fmt.Fprintf(&out, "--- %s\n+++ b/%s\n", old, name)
		}
		hunk.write(&out)
	}
	return out.String()
}

func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// step is a line that stays, goes or comes.
type step struct {
	mark     byte // ' ', '-' or '+'
	text     string
	old, new int // lines of each version before this one
}

// compare finds a shortest way from a to b, by Myers's algorithm.
func compare(a, b []string) []step {
	var trace [][]int
	bound := len(a) + len(b)
	best := make([]int, 2*bound+2) // by diagonal, shifted by bound
	for d := 0; d <= bound; d++ {
		trace = append(trace, slices.Clone(best))
		for k := -d; k <= d; k += 2 {
			x := best[bound+k+1]
			if k != -d && (k == d || best[bound+k-1] >= x) {
				x = best[bound+k-1] + 1
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			best[bound+k] = x
			if x >= len(a) && x-k >= len(b) {
				return walk(a, b, trace, bound)
			}
		}
	}
	return nil
}

// walk goes back along the trace and returns the steps in order.
func walk(a, b []string, trace [][]int, bound int) []step {
	var steps []step
	x, y := len(a), len(b)
	for d, best := range slices.Backward(trace) {
		k := x - y
		from := k - 1
		if k == -d || k != d && best[bound+k-1] < best[bound+k+1] {
			from = k + 1
		}
		fromX := best[bound+from]
		fromY := fromX - from
		for x > fromX && y > fromY && x > 0 && y > 0 {
			x, y = x-1, y-1
			steps = append(steps, step{' ', a[x], x, y})
		}
		switch {
		case d == 0:
		case x == fromX:
			y--
			steps = append(steps, step{'+', b[y], x, y})
		default:
			x--
			steps = append(steps, step{'-', a[x], x, y})
		}
	}
	slices.Reverse(steps)
	return steps
}

type hunk []step

// hunks groups the changes with the lines around them.
func hunks(steps []step) []hunk {
	var found []hunk
	end := 0 // of the last hunk
	for i, s := range steps {
		if s.mark == ' ' {
			continue
		}
		from, to := max(0, i-margin), min(len(steps), i+1+margin)
		if len(found) > 0 && from <= end {
			found[len(found)-1] = append(found[len(found)-1], steps[end:max(end, to)]...)
		} else {
			found = append(found, slices.Clone(steps[from:to]))
		}
		end = max(end, to)
	}
	return found
}

func (h hunk) write(out *strings.Builder) {
	old, new := 0, 0
	for _, s := range h {
		if s.mark != '+' {
			old++
		}
		if s.mark != '-' {
			new++
		}
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(h[0].old, old), span(h[0].new, new))
	for _, s := range h {
		fmt.Fprintf(out, "%c%s\n", s.mark, s.text)
	}
}

// span writes where lines stand: behind how many others, and how many.
func span(before, count int) string {
	if count == 0 {
		return fmt.Sprintf("%d,0", before)
	}
	return fmt.Sprintf("%d,%d", before+1, count)
}
