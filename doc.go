// Package events is a typed event bus: it hands what one part of a program
// publishes to the handlers that other parts have subscribed, and lets the
// compiler check that both mean the same payload.
//
// A [Topic] binds a name to a payload type. It is declared once, at package
// level, and belongs to no bus:
//
//	var OrderPaid = events.NewTopic[Order]("order.paid")
//
// A [Bus] holds the subscriptions of one program, or of one test. A handler
// subscribes through the topic and so gets an Order. By default it is inline:
// it runs inside the publish. With [WithQueue] it has a queue and a goroutine
// of its own.
//
//	bus := events.New()
//	_, err := OrderPaid.Subscribe(bus, bookRevenue)
//	_, err = OrderPaid.Subscribe(bus, mailReceipt, events.WithQueue(1024))
//
// Whoever has an Order publishes it, and learns of what the inline handlers
// failed with. Close handles what is still queued.
//
//	err = OrderPaid.Publish(ctx, bus, order)
//	err = bus.Close(ctx)
//
// The untyped side of the same bus is that of a dispatcher keyed by names:
// [Event], [Bus.Register], [Bus.Dispatch], and [Bus.Subscribe] for patterns.
// Code written for such a dispatcher compiles against this package as it is,
// and its events can move to topics one at a time.
//
// The rest of this page is the delivery contract. Each heading is a property
// that holds for every bus, and the name of the test that proves it: Snapshot
// is proved by TestSnapshot. docs/guarantees.md says for each what is not
// promised.
//
// # Snapshot
//
// A publish runs the handlers that are subscribed at the moment it is called.
// What subscribes or unsubscribes while it runs changes the publishes that
// begin after that. For an asynchronous publish the moment is the call, not the
// time at which its handlers get to run. A publish that waits for room in a
// queue begins when there is room, with the handlers subscribed by then.
//
// In other words, a handler that subscribes another does not cause it to see
// the event at hand. Three options are stricter: a handler with [WithOnce] runs
// for one event however many publishes have it in their snapshot, one with
// [WithUntil] does not run once its context is done, and one with [WithDrain] not
// once Drain was called.
//
// # Order
//
// The inline handlers of a publish run in the publisher's goroutine, one after
// the other: those of higher priority first, and among equals in the order in
// which they subscribed. It does not matter whether a handler subscribed to the
// name or to a pattern, with a type or without.
//
// A handler that publishes in turn has the handlers of that event run then and
// there, before its own event goes on to the next one.
//
// The handlers of an asynchronous publish run in the same order, in a goroutine
// of the bus. Two asynchronous publishes have no order between them; where that
// matters, publish synchronously to a queued subscription.
//
// # Every handler runs
//
// A handler that fails or panics does not keep those behind it from running.
// The publish returns all failures joined, each as a [*HandlerError] that names
// the event and the handler and unwraps to the cause; [Failures] tells them
// apart. The text of one names all three.
//
// With [WithFailFast], and so on the bus of [NewEventDispatcher] and on the
// default one, the first failure is the only one: the handlers behind it do not
// run. On these two buses the text is that of the map-based dispatcher, "handler
// failed for event order.paid: " and the cause.
//
// # Panics are errors
//
// The panic of a handler becomes a [*PanicError] with the value and the stack,
// whichever goroutine the handler runs in. From there on it is an error like
// any other: middleware sees it as one, so that it can be retried, logged or
// kept, and it does not end the process.
//
// A handler that calls [runtime.Goexit], as a test's FailNow does, ends the
// goroutine of its publisher, which is what the call is for. Where no publisher
// waits, the call is reported as the handler's error, and the bus goes on.
//
// # Re-entrancy
//
// A handler may publish, subscribe, unsubscribe and close the bus, its own
// subscription and its own event included. The bus holds no lock while it runs
// code of its user, and shares no limit between a publish and those that its
// handlers make.
//
// # Concurrency is asked for
//
// Without [WithConcurrency] nothing runs beside anything else within a publish.
// With it, up to n inline handlers of one publish run at a time, each in a
// goroutine, and the publish returns when all have. A handler that is alone
// stays in the publisher's goroutine. With fail-fast the context of the other
// handlers is cancelled by the first failure.
//
// # Queued is in order
//
// If event A of a topic is published before event B, a queued subscription has
// handled A before it begins with B. With [WithLanes] and [WithOrderBy] that
// holds for events of the same key, while those of different keys run in
// parallel. With lanes and without a key it does not hold.
//
// Less formally: a queued handler never runs twice at the same time, unless
// lanes let it.
//
// # Queues are bounded
//
// A queue holds as many events as [WithQueue] says. What a publish does about a
// full one is the subscription's choice. With [Block], the default, it waits for
// room for as long as its context lasts, and publishers that wait for one queue
// get room in the order in which they came. With [Reject] it returns [ErrFull].
// With [DropOldest] that subscription, and no other, loses its oldest event: the
// loss is counted, and each gap is reported as one [*OverflowError]. A publish
// that is refused or gives up has reached no handler of any kind.
//
// Less formally: what does not fit is waited for, refused or reported, and
// never lost in silence. The work of asynchronous publishes is no queue, and has
// a bound only where [WithAsyncLimit] sets one.
//
// # Cycles do not hang
//
// A publish that would wait for space in a queue whose handler waits, directly
// or through others, for that same publish returns [ErrDeadlock], if it is made
// in the handler's own goroutine or in one that the package runs handlers in for
// it ([WithConcurrency]). So do [Subscription.Drain], [Bus.Close] and [Bus.Wait]
// when they would wait for their caller. A goroutine that a handler has started
// is a stranger: nobody can know whether the handler waits for it, and it waits
// as long as its context and Close allow. A long chain of full queues that leads
// back to nobody just waits. A publisher that waits for long is logged, with the
// subscription that holds it up.
//
// # An accepted event outlives its request
//
// Queued and asynchronous handlers get a context with the values of the
// publisher's and without its deadline and cancellation. It is cancelled when
// Close runs out of time, and when the bus is closed. A publish does not ask
// its context whether to deliver: inline handlers run with a context that is
// done, too, and decide for themselves.
//
// # Errors nobody waits for are reported
//
// What a queued or asynchronous handler fails with goes to the function given
// to [WithErrorHandler], and without one to the logger, with the event, the
// handler and the cause.
//
// # Close drains
//
// From the call of [Bus.Close] on, publishes and subscriptions are refused with
// [ErrClosed]. What has been accepted is handled before Close returns. What is
// published with the context of an event that is still at work is accepted, in
// whichever goroutine, so that a workflow under way comes to its end; when its
// handler has returned, that is over. When the context of Close is done first,
// the handlers' context is cancelled, what no handler has begun with is dropped,
// and the error says how many events were not handled, and where: those at work,
// queued, collected for a batch, and in subscriptions that are being drained.
//
// Close may be called more than once, from anywhere, and all calls return the
// same; of several deadlines the first counts. Called by a queued or asynchronous
// handler of the bus, it refuses new events and returns [ErrDeadlock] at once, since its event is among
// those to be waited for, and the bus ends by itself. A bus whose Close returned
// nil has no goroutine left, and holds nothing of its handlers. A bus with
// nothing to do has neither a goroutine of asynchronous work nor a running timer.
//
// # Two views of one event
//
// An untyped handler sees the payload of a topic as Event{Name, Data} with a T
// in Data, or with [WithMapPayload] as a map. A typed handler sees an untyped
// event whose Data is a T, a pointer to one, the T that a *T is wanted for, or
// a map that reads as a T: at least one key names a field by its JSON name, and
// every value that is named fits, as encoding/json would read it. For anything else that handler does not run
// and counts as failed with a [*PayloadError]; none ever gets a zero value in
// place of what was published. A topic whose name has a handler, and another
// payload type on that bus, gets [ErrTopicConflict].
//
// # Memory follows subscriptions
//
// What a bus keeps is in proportion to its subscriptions, to the most that their
// queues have held, and to what [WithReplay] asks for. Publishing names that
// nobody subscribed to leaves nothing behind, however many there are, and even
// when patterns hear them.
package events
