package events

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
)

// BusOption configures a bus in [New].
type BusOption interface{ applyToBus(*busOptions) }

// TopicOption configures a topic in [NewTopic].
type TopicOption interface{ applyToTopic(*topicOptions) }

// SubscribeOption configures one subscription.
type SubscribeOption interface{ applyToSubscription(*subscriptionOptions) }

// DeliveryOption configures a bus or a single topic.
type DeliveryOption interface {
	BusOption
	TopicOption
}

// AnyOption configures a bus, a topic or a subscription.
type AnyOption interface {
	BusOption
	TopicOption
	SubscribeOption
}

type busOptions struct {
	delivery     delivery
	middleware   []Middleware
	errorHandler func(context.Context, error)
	logger       *slog.Logger
	unhandled    func(context.Context, Event)
	asyncLimit   uint64
	queues       []SubscribeOption // the defaults of queues
	unnamed      bool              // the text of a failure does not name the handler
}

type topicOptions struct {
	delivery   delivery
	middleware []Middleware
}

// delivery is how a publish runs its inline handlers.
type delivery struct {
	replay      int32
	concurrency uint16
	failFast    bool
	mapPayload  bool
}

type subscriptionOptions struct {
	name        string
	priority    int
	prioritySet bool
	once        bool
	waits       bool
	until       context.Context
	middleware  []Middleware
	queue       queueOptions
	err         error // what does not fit, for Subscribe to return
}

// or returns d with the settings of other where it has none.
func (d delivery) or(other delivery) delivery {
	return delivery{
		concurrency: cmp.Or(d.concurrency, other.concurrency),
		replay:      cmp.Or(d.replay, other.replay),
		failFast:    d.failFast || other.failFast,
		mapPayload:  d.mapPayload || other.mapPayload,
	}
}

// reject keeps the first thing that is wrong with the options.
func (o *subscriptionOptions) reject(format string, arguments ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, arguments...)
	}
}

type busOption func(*busOptions)

func (f busOption) applyToBus(o *busOptions) { f(o) }

type topicOption func(*topicOptions)

func (f topicOption) applyToTopic(o *topicOptions) { f(o) }

type subscribeOption func(*subscriptionOptions)

func (f subscribeOption) applyToSubscription(o *subscriptionOptions) { f(o) }

type deliveryOption func(*delivery)

func (f deliveryOption) applyToBus(o *busOptions)     { f(&o.delivery) }
func (f deliveryOption) applyToTopic(o *topicOptions) { f(&o.delivery) }

type middlewareOption []Middleware

func (m middlewareOption) applyToBus(o *busOptions) {
	o.middleware = append(o.middleware, m...)
}

func (m middlewareOption) applyToTopic(o *topicOptions) {
	o.middleware = append(o.middleware, m...)
}

func (m middlewareOption) applyToSubscription(o *subscriptionOptions) {
	o.middleware = append(o.middleware, m...)
}

// WithMiddleware wraps handlers in middleware, the first one outermost: on a
// bus all handlers, on a topic those that subscribe through it, on a
// subscription its own. The bus's middleware is around the topic's, and that
// around the subscription's. A middleware is called once for each
// subscription, when that is made. There is none by default.
//
// It panics if a middleware is nil.
func WithMiddleware(middleware ...Middleware) AnyOption {
	if slices.ContainsFunc(middleware, func(m Middleware) bool { return m == nil }) {
		panic("events: WithMiddleware: middleware is nil")
	}
	return middlewareOption(middleware)
}

// WithFailFast ends a publish with the first error: the handlers behind it do
// not run, and with [WithConcurrency] the context of those that do is
// cancelled. By default every handler runs.
func WithFailFast() DeliveryOption {
	return deliveryOption(func(d *delivery) { d.failFast = true })
}

// WithConcurrency runs the inline handlers of one publish on up to n
// goroutines and waits for all of them. A handler that is alone stays in the
// publisher's goroutine. The default, 0, and 1 run them one after the other.
//
// It panics if n is negative.
func WithConcurrency(n int) DeliveryOption {
	if n < 0 {
		panic(fmt.Sprintf("events: WithConcurrency(%d): want 0 or more", n))
	}
	return deliveryOption(func(d *delivery) { d.concurrency = uint16(min(n, math.MaxUint16)) })
}

// WithErrorHandler has f called with every error that no publisher waits for:
// those of queued and asynchronous handlers, and of events lost. It runs in
// the goroutine that met the error, may use the bus, and must not block for
// long; its panic is logged. By default such errors are logged.
//
// It panics if f is nil.
func WithErrorHandler(f func(ctx context.Context, err error)) BusOption {
	if f == nil {
		panic("events: WithErrorHandler: function is nil")
	}
	return busOption(func(o *busOptions) { o.errorHandler = f })
}

// WithLogger has the bus log there what it has to say. The default is
// slog.Default() at the time of logging.
//
// It panics if logger is nil.
func WithLogger(logger *slog.Logger) BusOption {
	if logger == nil {
		panic("events: WithLogger: logger is nil")
	}
	return busOption(func(o *busOptions) { o.logger = logger })
}

// WithUnhandled has f called with every event that found no handler. It runs
// in the publisher's goroutine, for an asynchronous publish in one of the bus,
// and may use the bus; its panic goes to the error handler. A topic that keeps
// events by [WithReplay] hears them itself. By default such events are ignored.
//
// It panics if f is nil.
func WithUnhandled(f func(ctx context.Context, event Event)) BusOption {
	if f == nil {
		panic("events: WithUnhandled: function is nil")
	}
	return busOption(func(o *busOptions) { o.unhandled = f })
}

// WithAsyncLimit has asynchronous publishes fail with [ErrFull] while n are not
// through, those at work included. An event that has only queues to go to, with
// room in all, does not count. By default there is no limit: each that blocks
// holds a goroutine.
//
// It panics if n is below 1.
func WithAsyncLimit(n int) BusOption {
	if n < 1 {
		panic(fmt.Sprintf("events: WithAsyncLimit(%d): want 1 or more", n))
	}
	return busOption(func(o *busOptions) { o.asyncLimit = uint64(n) })
}

// WithQueueDefaults has all queued subscriptions of the bus begin with the
// given options, of which [WithQueue] counts for those that have a queue by
// themselves ([Topic.SubscribeBatch] and [Topic.All]), [WithOverflow] for all,
// and [WithBatch] for batches. A subscription's own options precede them. The
// defaults otherwise are a capacity of 1024, [Block], and 100 events or a second.
//
// It panics if an option is another one, or does not fit.
func WithQueueDefaults(options ...SubscribeOption) BusOption {
	var o subscriptionOptions
	for _, option := range options {
		if option == nil {
			panic("events: WithQueueDefaults: option is nil")
		}
		option.applyToSubscription(&o)
	}
	if o.name != "" || o.prioritySet || o.once || o.waits || o.until != nil || o.middleware != nil || o.queue.lanes > 0 || o.queue.orderBy != nil {
		o.reject("want WithQueue, WithOverflow and WithBatch only")
	}
	if o.err != nil {
		panic(fmt.Sprintf("events: WithQueueDefaults: %v", o.err))
	}
	return busOption(func(b *busOptions) { b.queues = append(b.queues, options...) })
}

// WithMapPayload has untyped handlers of a topic see its payload as a
// map[string]any: the struct's fields under their JSON names, with their Go
// values as they are, a new map for each handler. It lets a publisher move to
// types before the handlers that still read maps. By default they see T.
// NewTopic panics if T is neither a struct nor a pointer to one.
func WithMapPayload() TopicOption {
	return topicOption(func(o *topicOptions) { o.delivery.mapPayload = true })
}

// WithName names the subscription in errors and logs. The default is the name
// of the handler's function.
func WithName(name string) SubscribeOption {
	return subscribeOption(func(o *subscriptionOptions) { o.name = name })
}

// WithPriority has the handler run before those of lower priority, whatever
// the order of subscription. The default is 0; negative values run last.
//
// Subscribe returns an error for a queue, as queues do not wait for one another.
func WithPriority(priority int) SubscribeOption {
	return subscribeOption(func(o *subscriptionOptions) { o.priority, o.prioritySet = priority, true })
}

// WithOnce ends the subscription after one event, even when many are published
// at the same time or the handler fails. An event whose payload the handler
// cannot take does not count.
func WithOnce() SubscribeOption {
	return subscribeOption(func(o *subscriptionOptions) { o.once = true })
}

// WithUntil ends the subscription when ctx is done: from then on the handler is
// not run, not even by a publish under way. Subscribe returns an error if ctx is
// nil.
func WithUntil(ctx context.Context) SubscribeOption {
	return subscribeOption(func(o *subscriptionOptions) {
		if ctx == nil {
			o.reject("WithUntil: context is nil")
		}
		o.until = ctx
	})
}

// WithDrain has [Subscription.Drain] wait for an inline handler that is at work,
// after which what the handler uses may be closed: no publish runs it any more,
// one under way included. It costs each event some microseconds. By default
// Drain does not wait for inline handlers: their publishers do.
//
// Subscribe returns an error for a queue, whose handler is always waited for.
func WithDrain() SubscribeOption {
	return subscribeOption(func(o *subscriptionOptions) { o.waits = true })
}
