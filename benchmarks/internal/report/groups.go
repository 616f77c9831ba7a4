package report

import "github.com/typedbus/events/benchmarks/internal/scenario"

// A column shows one metric of one scenario.
type column struct {
	scenario string
	metric   scenario.Metric
	header   string
}

// A group is a table with its chart.
type group struct {
	id    string
	title string
	// text says what the work is and what the unit is.
	text    string
	columns []column
	// plotted is how many of the columns, from the first, the chart shows.
	plotted int
	// axis is the label of the chart's axis.
	axis string
}

var groups = []group{
	{
		id:    "inline",
		title: "Publishing to inline handlers",
		text: "One goroutine publishes, the handlers run before the publish returns. The unit is one publish. " +
			"Buses that take `any` get a payload that is in an interface already. Names are constants, except where the table " +
			"says that they are made at run time.",
		columns: []column{
			{"inline-1", scenario.Nanos, "1 handler"},
			{"inline-10", scenario.Nanos, "10 handlers"},
			{"inline-100", scenario.Nanos, "100 handlers"},
			{"inline-1-made", scenario.Nanos, "1 handler, name made at run time"},
			{"inline-1", scenario.Allocs, "allocations, 1"},
			{"inline-10", scenario.Allocs, "allocations, 10"},
			{"inline-100", scenario.Allocs, "allocations, 100"},
		},
		plotted: 3,
		axis:    "time per publish",
	},
	{
		id:    "parallel",
		title: "Publishing from several goroutines",
		text: "The same, with every goroutine publishing to the same topic. The unit is one publish: the time from start to " +
			"end divided by what all goroutines published, so a bus whose publishers do not get in each other's way " +
			"takes half as long on two cores.",
		columns: []column{
			{"inline-1", scenario.Nanos, "1 handler, 1 goroutine"},
			{"inline-1-by-2", scenario.Nanos, "1 handler, 2 goroutines"},
			{"inline-1-by-8", scenario.Nanos, "1 handler, 8 goroutines"},
			{"inline-10-by-8", scenario.Nanos, "10 handlers, 8 goroutines"},
		},
		plotted: 3,
		axis:    "time per publish",
	},
	{
		id:    "nobody",
		title: "Publishing with nobody listening",
		text:  "The topic has no handlers, and a hundred other topics have one each.",
		columns: []column{
			{"nobody", scenario.Nanos, "time"},
			{"nobody", scenario.Allocs, "allocations"},
		},
		plotted: 1,
		axis:    "time per publish",
	},
	{
		id:    "async",
		title: "Publishing to asynchronous subscribers",
		text: "Publishers publish as fast as the bus takes it, and the clock stops when every subscriber has handled every " +
			"event. The unit is one delivery: one subscriber handling one event. Queues hold 1,024 events where the bus " +
			"lets one choose.",
		columns: []column{
			{"async-1-by-1", scenario.Nanos, "1 subscriber, 1 publisher"},
			{"async-10-by-1", scenario.Nanos, "10 subscribers, 1 publisher"},
			{"async-1-by-4", scenario.Nanos, "1 subscriber, 4 publishers"},
			{"async-10-by-4", scenario.Nanos, "10 subscribers, 4 publishers"},
			{"async-1-by-1", scenario.Allocs, "allocations, 1 by 1"},
			{"async-10-by-1", scenario.Allocs, "allocations, 10 by 1"},
		},
		plotted: 2,
		axis:    "time per delivery",
	},
	{
		id:    "wakeup",
		title: "Waking an idle subscriber",
		text: "One event at a time, to an asynchronous subscriber that has nothing else to do and answers over a channel. " +
			"The unit is the way there and back.",
		columns: []column{
			{"wakeup", scenario.Nanos, "median"},
			{"wakeup", scenario.P99, "99th percentile"},
		},
		plotted: 2,
		axis:    "time there and back",
	},
	{
		id:    "concurrent",
		title: "Eight handlers of 10 µs, at the same time",
		text: "One event at a time, to eight handlers that each keep a core busy for 10 µs: 80 µs one after the other. " +
			"The unit is one event, from its publish to the end of its last handler.",
		columns: []column{{"concurrent", scenario.Nanos, "time"}, {"concurrent", scenario.Allocs, "allocations"}},
		plotted: 1,
		axis:    "time per event",
	},
	{
		id:    "churn",
		title: "Subscribing and leaving",
		text: "A handler subscribes and leaves again, beside others on the same topic. Inline where the bus has that, " +
			"asynchronous otherwise.",
		columns: []column{
			{"churn-0", scenario.Nanos, "beside none"},
			{"churn-100", scenario.Nanos, "beside 100"},
			{"churn-1000", scenario.Nanos, "beside 1,000"},
		},
		plotted: 3,
		axis:    "time to subscribe and leave",
	},
	{
		id:    "topics",
		title: "A hundred thousand topics",
		text: "Each with one subscription, inline where the bus has that, asynchronous with queues of 16 otherwise. The bytes " +
			"are of heap and stacks, and include what the comparison itself needs to hold on to a topic: some 16 to 32.",
		columns: []column{
			{"topics", scenario.Bytes, "memory for each"},
			{"topics", scenario.Nanos, "time for each"},
		},
		plotted: 1,
		axis:    "memory per topic",
	},
}
