package main

// durableRows are those of the engines of durable events, beside bare clients. The time of
// the bare client divided by that of the engine is the ratio of their rates. Bare clients
// write a table of nothing but data, or one of all that a message has, found by its topic.
var durableRows = []row{
	{work: "SQLite, publish one at a time", bench: "Durable/sqlite/publish=one/bare", beside: "Durable/sqlite/publish=one/engine", atLeast: 0.97},
	{work: "SQLite, publish one at a time, table alike", bench: "Durable/sqlite/publish=one/alike", beside: "Durable/sqlite/publish=one/engine", atLeast: 0.97},
	{work: "SQLite, publish a hundred in a call", bench: "Durable/sqlite/publish=hundred/bare", beside: "Durable/sqlite/publish=hundred/engine", atLeast: 0.71},
	{work: "SQLite, publish a hundred in a call, table alike", bench: "Durable/sqlite/publish=hundred/alike", beside: "Durable/sqlite/publish=hundred/engine", atLeast: 0.71},
	{work: "SQLite, 64 publishers at once", bench: "Durable/sqlite/publish=at-once/bare", beside: "Durable/sqlite/publish=at-once/engine", atLeast: 22},
	{work: "SQLite, consume", bench: "Durable/sqlite/consume/bare", beside: "Durable/sqlite/consume/engine", atLeast: 0.28},
	{work: "SQLite, consume by 1,000 keys", bench: "Durable/sqlite/consume/bare", beside: "Durable/sqlite/consume/engine-by-key", atLeast: 0.28},
	{work: "SQLite, consume by one key", bench: "Durable/sqlite/consume/bare", beside: "Durable/sqlite/consume/engine-by-one-key", atLeast: 0.28},
	{work: "SQLite, publish and handle, one at a time", bench: "Durable/sqlite/latency/bare", beside: "Durable/sqlite/latency/engine"},
	{work: "SQLite, publish beside 20 groups, and 1", bench: "Durable/sqlite/groups=20", beside: "Durable/sqlite/groups=1", atMost: 1.1},

	{work: "Postgres, publish one at a time", bench: "Durable/postgres/publish=one/bare", beside: "Durable/postgres/publish=one/engine", atLeast: 1.1},
	{work: "Postgres, publish one at a time, table alike", bench: "Durable/postgres/publish=one/alike", beside: "Durable/postgres/publish=one/engine", atLeast: 1.1},
	{work: "Postgres, publish a hundred in a call", bench: "Durable/postgres/publish=hundred/bare", beside: "Durable/postgres/publish=hundred/engine", atLeast: 0.93},
	{work: "Postgres, publish a hundred in a call, table alike", bench: "Durable/postgres/publish=hundred/alike", beside: "Durable/postgres/publish=hundred/engine", atLeast: 0.93},
	{work: "Postgres, 64 publishers at once", bench: "Durable/postgres/publish=at-once/bare", beside: "Durable/postgres/publish=at-once/engine", atLeast: 2.2},
	{work: "Postgres, consume", bench: "Durable/postgres/consume/bare", beside: "Durable/postgres/consume/engine", atLeast: 0.39},
	{work: "Postgres, consume by 1,000 keys", bench: "Durable/postgres/consume/bare", beside: "Durable/postgres/consume/engine-by-key", atLeast: 0.39},
	{work: "Postgres, consume by one key", bench: "Durable/postgres/consume/bare", beside: "Durable/postgres/consume/engine-by-one-key", atLeast: 0.39},
	{work: "Postgres, publish and handle, one at a time", bench: "Durable/postgres/latency/bare", beside: "Durable/postgres/latency/engine"},
	{work: "Postgres, publish beside 20 groups, and 1", bench: "Durable/postgres/groups=20", beside: "Durable/postgres/groups=1", atMost: 1.1},

	{work: "JetStream, publish one at a time", bench: "Durable/jetstream/publish=one/bare", beside: "Durable/jetstream/publish=one/engine", atLeast: 0.8},
	{work: "JetStream, publish one at a time, message alike", bench: "Durable/jetstream/publish=one/alike", beside: "Durable/jetstream/publish=one/engine", atLeast: 0.8},
	{work: "JetStream, publish a hundred in a call", bench: "Durable/jetstream/publish=hundred/bare", beside: "Durable/jetstream/publish=hundred/engine", atLeast: 0.8},
	{work: "JetStream, publish a hundred in a call, message alike", bench: "Durable/jetstream/publish=hundred/alike", beside: "Durable/jetstream/publish=hundred/engine", atLeast: 0.8},
	{work: "JetStream, 64 publishers at once", bench: "Durable/jetstream/publish=at-once/bare", beside: "Durable/jetstream/publish=at-once/engine", atLeast: 0.8},
	{work: "JetStream, 64 publishers at once, message alike", bench: "Durable/jetstream/publish=at-once/alike", beside: "Durable/jetstream/publish=at-once/engine", atLeast: 0.8},
	{work: "JetStream, consume", bench: "Durable/jetstream/consume/bare", beside: "Durable/jetstream/consume/engine", atLeast: 0.8},
	{work: "JetStream, publish and handle, one at a time", bench: "Durable/jetstream/latency/bare", beside: "Durable/jetstream/latency/engine"},
}
