// Package goid tells which goroutine is running, and in which testing/synctest
// bubble. Go has no such function: both are read from the first line of a stack
// trace, "goroutine 7 [running, synctest bubble 9]:", which costs two
// microseconds on a shallow stack and ten times that on a deep one. So no publish
// asks but one that waits, one that fans out, one to a handler with WithDrain,
// and an asynchronous one in a bubble; otherwise it is asked once by a goroutine.
//
// What a maintainer may change: how the line is read; nothing else in this
// repository may depend on its form. What must stay: a number that cannot be
// read is [Unknown], never that of another goroutine, for then internal/waitgraph
// only fails to find a deadlock. A bubble that cannot be read counts as none, and
// internal/origin then ends contexts of other bubbles, for which the runtime ends
// the process.
package goid

import (
	"bytes"
	"runtime"
	"strconv"
)

// Unknown is the number of no goroutine.
const Unknown = 0

// Current returns the number of the calling goroutine, or [Unknown] if it
// cannot be read.
func Current() uint64 {
	goroutine, _ := parse(firstLine())
	return goroutine
}

// Bubble returns the number of the bubble that the calling goroutine is in, or 0
// if it is in none.
func Bubble() uint64 {
	_, bubble := parse(firstLine())
	return bubble
}

func firstLine() []byte {
	line := make([]byte, 100) // two numbers of at most 20 digits, and the words
	return line[:runtime.Stack(line, false)]
}

func parse(line []byte) (goroutine, bubble uint64) {
	line, _, _ = bytes.Cut(line, []byte("\n"))
	rest, found := bytes.CutPrefix(line, []byte("goroutine "))
	digits, rest, more := bytes.Cut(rest, []byte(" "))
	if !found || !more {
		return Unknown, 0
	}
	_, rest, _ = bytes.Cut(rest, []byte("synctest bubble "))
	end := bytes.IndexAny(rest, "],")
	return number(digits), number(rest[:max(0, end)])
}

func number(digits []byte) uint64 {
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return Unknown
	}
	return n
}
