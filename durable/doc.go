// Package durable is for events that outlive the process: they are stored before
// [Publish] returns, and handled at least once by every group that subscribed,
// through crashes, restarts and on several machines. The topics are those of
// package events.
//
// Where they are stored is the business of an [Engine], in a module of its own.
// What is a matter of policy is here, once for all of them: workers, attempts and
// their waits, order, leases, middleware, and the end.
//
//	err := durable.Publish(ctx, store, OrderPaid, order)
//
//	sub, err := durable.Subscribe(ctx, store, OrderPaid, "mail.receipts", mailReceipt)
//	...
//	err = sub.Close(ctx)
//
// The rest of this page is what an engine and this package promise together. Each
// heading is a case of the conformance suite in package durabletest.
//
// # Stored
//
// When [Publish] returns nil the event is safe with the engine. Published in a
// transaction of the caller's it is stored with that, or not at all.
//
// # Every group, at least once
//
// A group is a topic and a name. It gets each event that is stored after
// [Subscribe] or [Declare] made it, and the processes that subscribe with the same
// name share them. Groups know nothing of one another: each has its own attempts
// and dead letters, and a handler that fails makes no other run again.
//
// Less formally: an event is handled once, and more often where a process ended,
// or was held up for longer than its lease, between handling it and saying so. A
// handler makes its effect single by noting the id of the message with it.
//
// # A failure is tried again
//
// An event whose handler failed comes back later, after waits that double
// ([WithBackoff]) or that the handler says ([RetryAfter]), and meanwhile holds up
// nobody but its key. [events.Permanent] ends that. An attempt in which the
// process ended counts when the event was alone in the process's hands; one that
// [Subscription.Close] cut short does not.
//
// # Nothing is thrown away
//
// An event is kept as a dead letter, with its last error, when nothing is left to
// try ([WithAttempts]), and at once when its payload cannot be read. So is one that is
// too old when its turn comes ([WithMaxAge]), without being handled. It can be
// listed, handled once more by the group that gave it up, or discarded
// ([DeadLettersOf]). An event that ends its process again and again is one, too: its
// lease runs out, so it is suspected, and handed out alone until it has been
// handled or its attempts are used up.
//
// # Order by key
//
// With [WithOrderByKey] a group handles the events of one key ([WithKey]) one at a
// time and in the order in which they were stored, through retries; events of other
// keys, and those of none, go on. One that was published with [WithDelay] joins its
// key when it is due. A dead letter lets its key go on, and when it is redriven it
// runs out of order, and beside others of its key.
//
// # A lease that ran out is lost
//
// An event belongs to a process for the time of its lease, which is renewed while
// the handler runs. A process that was held up for longer begins with no further
// event that it had, the context of its handler ends with [ErrLeaseLost], and what
// it says of the event has no effect once another one has it.
//
// # A slow consumer holds nobody up
//
// A publish waits for no handler, and costs the same however many groups there
// are and however far they are behind.
//
// # Close drains
//
// [Subscription.Close] waits for the handlers at work and gives back at once what
// was only fetched. A process that is killed loses nothing at any moment.
//
// # An engine says what it cannot do
//
// What is asked for and an engine cannot do is [ErrUnsupported] at the call, with
// the name of the option and the engine. See [Features].
//
// # Panics are errors
//
// A handler's panic is an error with its stack, as is the end of its goroutine.
// [FromContext] tells a handler the message, its headers and the attempt; what it
// publishes with its context carries on the headers of the trace.
//
// # For maintainers
//
// A [Subscription] is five kinds of goroutines around one hand: what is claimed and
// not settled, under one lock. The fetcher puts deliveries in, workers take them to
// run and put their settlement in place of them, the settler stores those in
// batches and takes them out, the teller logs and reports that, the keeper has
// leases renewed through the same settler. So a delivery is in one state at a time, and who moves it on signals who
// waits for that. What may change: how many are fetched at once, and how an engine
// that fails is waited for. What must stay: no user's code and no call of the engine
// under the lock, and a delivery that was fetched is settled, given back, or left
// to its lease because Close gave up.
package durable
