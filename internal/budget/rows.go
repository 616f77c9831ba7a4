package main

import "cmp"

// A row is one line of the performance budget: a benchmark's figure, as it is
// or divided by that of a benchmark beside it, and what it may be at most or
// must be at least.
type row struct {
	work     string
	bench    string  // without the word Benchmark and the number of processors
	beside   string  // what bench is divided by; empty when the figure itself counts
	unit     string  // of the figures; empty means ns/op
	atMost   float64 // 0 where atLeast is given
	atLeast  float64
	noAllocs bool // whether bench must do without allocations
}

// figures returns the unit of the figures of a row.
func (r row) figures() string { return cmp.Or(r.unit, "ns/op") }

// rows is the budget. A new row is a new line here.
var rows = []row{
	{work: "typed publish, 1 handler", bench: "Typed/handlers=1/bus", beside: "Typed/handlers=1/floor", atMost: 3, noAllocs: true},
	{work: "typed publish, 10 handlers", bench: "Typed/handlers=10/bus", beside: "Typed/handlers=10/floor", atMost: 1.7, noAllocs: true},
	{work: "typed publish, 100 handlers", bench: "Typed/handlers=100/bus", beside: "Typed/handlers=100/floor", atMost: 1.35, noAllocs: true},
	// The time of one goroutine divided by that of two is the growth of the
	// throughput.
	{work: "typed publish, throughput on 2 cores", bench: "TypedParallel/goroutines=1", beside: "TypedParallel/goroutines=2", atLeast: 1.8},

	{work: "untyped dispatch, 1 handler", bench: "Untyped/handlers=1/bus", beside: "Untyped/handlers=1/map", atMost: 0.8, noAllocs: true},
	{work: "untyped dispatch, 10 handlers", bench: "Untyped/handlers=10/bus", beside: "Untyped/handlers=10/map", atMost: 0.9, noAllocs: true},
	{work: "untyped dispatch, 8 goroutines", bench: "Untyped/goroutines=8/bus", beside: "Untyped/goroutines=8/map", atMost: 0.5, noAllocs: true},

	{work: "nobody listening, typed", bench: "Nobody/typed", beside: "Nobody/lookup", atMost: 1.5, noAllocs: true},
	{work: "nobody listening, untyped", bench: "Nobody/untyped", beside: "Nobody/lookup", atMost: 1.5, noAllocs: true},

	{work: "asynchronous dispatch", bench: "Async/bus", beside: "Async/map", atMost: 0.333},

	{work: "memory of a topic, of 100,000", bench: "Subscribe/topics=100000", unit: "bytes/topic", atMost: 400},
	{work: "subscribing to a topic, of 100,000", bench: "Subscribe/topics=100000", unit: "ns/topic", atMost: 1000},
}
