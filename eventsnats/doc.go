// Package eventsnats is an engine of package durable on JetStream of NATS, for services of
// several machines that have it already. See [durable.Engine] for what an engine is, and
// [New] to begin.
//
//	js, err := jetstream.New(nc)
//	err = eventsnats.Migrate(ctx, js) // once, in the step that prepares the servers
//	engine, err := eventsnats.New(ctx, js)
//	err = durable.Publish(ctx, engine, OrderPaid, order)
//
// # What is where
//
// An event of the topic order.paid is a message on the subject events.order.paid of the
// stream events, a CloudEvent in binary mode. A group is a durable consumer of that
// stream. What it gives up goes to a second stream, events-dead, before it is given up in
// the first; [Engine.DeadLetters] lists it and sends it back, to that group alone. Messages
// that all groups have handled are deleted now and then ([Engine.Sweep]).
//
// # What it can do
//
// Groups share work, retries wait at the server, attempts are counted over crashes, and
// leases are renewed. There is no order by key, no publishing for later, and nothing
// within a transaction of a database: for that, publish to a store in the database and have
// [durable.Forward] bring it here. There is no fencing either: JetStream takes the word of
// whoever had an event before, so an event whose process was held up for longer than its
// lease may be acknowledged by that process while another handles it, and a server that was
// killed hands out at once, when it is back, what others are at work on. And nothing is known
// of a process that ended but that it did not answer: so its end counts as an attempt for
// all that it had, also for what it had not begun, and an event that kills each process
// takes others with it to the dead letters in the end, from where they can be redriven. A
// short prefetch keeps these few.
//
// Publish returns when the stream has stored the message as far as the stream's
// configuration goes: with one replica a server writes to its file and syncs it now and
// then (sync_interval, two minutes by default), so that a machine that loses power may lose
// what it had said it had. With three replicas it takes two machines at once.
//
// A stream keeps the ids it had for a while (its window for duplicates, two minutes by
// default), and stores a message of the same source, topic and id once within it.
package eventsnats
