// Command chaos puts the engines of package durable to the test: publishers and workers
// are processes that it kills, stops and restarts, and a ledger tells whether an event was
// lost, handled out of order, or by two at once.
//
//	make chaos                               # all engines, ten minutes each
//	go run . -engine=sqlite -time=1m         # the scenarios on one of them
//	go run . -scenario=rolling               # one scenario
//	go run . -break=fence                    # with an engine that was broken on purpose
//
// # The ledger
//
// Each process appends a line to a file of its own for whatever it does: before it
// publishes an event and after it is stored, when a handler begins and when it is about to
// return. A line is in the file when the call that writes it returns, so that kill -9 takes
// nothing with it, and its time is that of the machine's monotonic clock, which all
// processes share. The director notes what it does to them. In the end the lines are put
// together to a history and checked against the promises of package durable.
//
// An event is a key and a number. One goroutine owns a key and publishes its numbers one
// after the other, so their order is that of the calls of Publish. When a publish fails,
// it is not known what is stored, so that key is used no more.
//
// # What is no violation
//
// An event may be handled twice where a process was killed or held up, and that is
// reported as a share. A handler that was held up for longer than its lease may find that
// another process is at its event by now. What is promised is that its context ends, and
// that its process begins with nothing else that it had: so a handler that notes its end as
// lost overlaps with nobody from the moment on in which its process was stopped, and an
// event that such a process begins afterwards is a violation, even if nobody else has it.
// There is no way to stop a process everywhere but between its last look at a lease and
// the first line of the handler; such a handler finds its context over when it first
// looks, and is taken not to have begun.
//
// The server of a broker that is killed does not know who has what when it is back, and may
// hand it out at once. A handler that was at work then overlaps with nobody until the
// server was killed.
//
// # Breaking on purpose
//
// A rig that finds nothing may be looking at nothing. With -break the processes are built
// with one change in the source of the engine, each of which takes a protection away, and
// the rig has to notice it. The table is in sabotage.go; the sources themselves have no
// code for it.
package main
