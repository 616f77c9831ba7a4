package main

import "cmp"

// A row is one line of the performance budget: a benchmark's figure, as it is
// or divided by that of a benchmark beside it, and what it may be at most or
// must be at least. A row without a limit is there to be looked at: what it
// shows is to be compared with an earlier run.
type row struct {
	work    string
	bench   string // without the word Benchmark and the number of processors
	beside  string // what bench is divided by; empty when the figure itself counts
	unit    string // of the figures; empty means ns/op
	atMost  float64
	atLeast float64
	allocs  allocs
}

// allocs says how many allocations an operation of a benchmark may have.
type allocs int

const (
	anyAllocs allocs = iota
	noAllocs
	oneAlloc
)

func (a allocs) most() float64 { return float64(a - noAllocs) }

// figures returns the unit of the figures of a row.
func (r row) figures() string { return cmp.Or(r.unit, "ns/op") }

// hasLimit says whether there is a limit to the figures, or to their ratio.
func (r row) hasLimit() bool { return r.atMost > 0 || r.atLeast > 0 }

// rows is the budget. A new row is a new line here.
var rows = []row{
	{work: "queued, 1 subscriber, 1 publisher", bench: "Queued/subscribers=1/publishers=1/bus", beside: "Queued/subscribers=1/publishers=1/channel", atMost: 0.85, allocs: noAllocs},
	{work: "the same beside kelindar/event, on 1 core", bench: "Peer/cores=1/subscribers=1/bus", beside: "Peer/cores=1/subscribers=1/kelindar", atMost: 1.25, allocs: noAllocs},
	{work: "the same on 2 cores", bench: "Peer/cores=2/subscribers=1/bus", beside: "Peer/cores=2/subscribers=1/kelindar", allocs: noAllocs},
	{work: "queued, 1 subscriber, 4 publishers", bench: "Queued/subscribers=1/publishers=4/bus", beside: "Queued/subscribers=1/publishers=4/channel", atMost: 1.1, allocs: noAllocs},
	{work: "queued, 10 subscribers, beside kelindar/event", bench: "Peer/cores=2/subscribers=10/bus", beside: "Peer/cores=2/subscribers=10/kelindar", atMost: 0.3, allocs: noAllocs},
	{work: "queued, an idle subscriber, there and back", bench: "Wake/bus", beside: "Wake/channel", atMost: 1.6, allocs: noAllocs},

	// What has no limit but that of its allocations. With a capacity of 1 nearly
	// every publish waits, for which it may make what it is woken by.
	{work: "queued, a capacity of 1", bench: "QueuedOne/bus", beside: "QueuedOne/channel", allocs: oneAlloc},
	{work: "queued, typed and untyped of one name", bench: "TwoLogs/bus", beside: "TwoLogs/channel", allocs: oneAlloc},
	{work: "queued, Dispatch to an untyped subscriber", bench: "DispatchQueued/untyped/bus", beside: "DispatchQueued/untyped/channel", allocs: noAllocs},
	{work: "queued, Dispatch to a typed subscriber", bench: "DispatchQueued/typed/bus", beside: "DispatchQueued/typed/channel", allocs: noAllocs},
	{work: "queued, 8 keys in 4 lanes", bench: "Keyed/bus", beside: "Keyed/channel", allocs: noAllocs},
	{work: "typed publish, asynchronous", bench: "PublishAsync/bus", beside: "PublishAsync/go", allocs: oneAlloc},
	{work: "typed publish, an untyped handler", bench: "Boxed/bus", beside: "Boxed/floor", allocs: oneAlloc},

	// The name is a constant, which is one and the same string wherever it
	// stands, or was made at run time, as that of an event which was decoded.
	{work: "untyped dispatch, 1 handler, a constant name", bench: "Untyped/handlers=1/name=constant/bus", beside: "Untyped/handlers=1/name=constant/map", atMost: 0.8, allocs: noAllocs},
	{work: "untyped dispatch, 1 handler, a name made", bench: "Untyped/handlers=1/name=made/bus", beside: "Untyped/handlers=1/name=made/map", atMost: 0.8, allocs: noAllocs},
	{work: "untyped dispatch, 10 handlers", bench: "Untyped/handlers=10/name=constant/bus", beside: "Untyped/handlers=10/name=constant/map", atMost: 1.35, allocs: noAllocs},
	{work: "untyped dispatch, 8 goroutines", bench: "Untyped/goroutines=8/bus", beside: "Untyped/goroutines=8/map", atMost: 0.5, allocs: noAllocs},

	{work: "typed publish, 1 handler", bench: "Typed/handlers=1/bus", beside: "Typed/handlers=1/floor", atMost: 3, allocs: noAllocs},
	{work: "typed publish, 10 handlers", bench: "Typed/handlers=10/bus", beside: "Typed/handlers=10/floor", atMost: 1.4, allocs: noAllocs},
	{work: "typed publish, 100 handlers", bench: "Typed/handlers=100/bus", beside: "Typed/handlers=100/floor", atMost: 1.15, allocs: noAllocs},
	// The time of one goroutine divided by that of two is the growth of the
	// throughput.
	{work: "typed publish, throughput on 2 cores", bench: "TypedParallel/goroutines=1", beside: "TypedParallel/goroutines=2", atLeast: 1.8},

	// The time of one of many beside the time of one of fewer.
	{work: "Close, each of 16,000 topics with a queue", bench: "Close/topics=16000", beside: "Close/topics=1000", unit: "ns/queue", atMost: 2},
	{work: "Close, each of 16,000 queues of a topic", bench: "Close/queues=16000", beside: "Close/queues=1000", unit: "ns/queue", atMost: 2},
	{work: "a pattern comes and goes, each of 16,000", bench: "Patterns/come-and-go=16000", beside: "Patterns/come-and-go=1000", unit: "ns/pattern", atMost: 2},
	{work: "a new name meets patterns, each of 16,000", bench: "Patterns/names=16000", beside: "Patterns/names=1000", unit: "ns/name", atMost: 2},

	{work: "nobody listening, typed", bench: "Nobody/typed", beside: "Nobody/lookup", atMost: 1.5, allocs: noAllocs},
	{work: "nobody listening, untyped", bench: "Nobody/untyped", beside: "Nobody/lookup", atMost: 1.5, allocs: noAllocs},

	{work: "DispatchAsync", bench: "Async/bus", beside: "Async/map", atMost: 0.333},

	{work: "memory of a topic, of 100,000", bench: "Subscribe/topics=100000", unit: "bytes/topic", atMost: 400},
	{work: "subscribing to a topic, of 100,000", bench: "Subscribe/topics=100000", unit: "ns/topic", atMost: 1000},
}
