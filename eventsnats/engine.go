package eventsnats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events/durable"
)

// Engine is an engine of package durable on two streams of JetStream. It is safe for use
// by any number of goroutines.
type Engine struct {
	*settings
	js     jetstream.JetStream
	api    string // what the subjects of requests to JetStream begin with
	nc     *nats.Conn
	events jetstream.Stream
	dead   jetstream.Stream

	stop       context.CancelFunc
	background sync.WaitGroup
	done       chan struct{} // closed by Close, to wake who waits

	mu        sync.Mutex
	closed    bool                   // guarded by mu
	receivers map[*receiver]struct{} // guarded by mu
}

var _ durable.Engine = (*Engine)(nil)

// New returns an engine on the streams of [WithStream], which [Migrate] makes. It returns an
// error if one is missing, has other subjects, or may lose what nobody has handled (see
// [WithLossyStream]). The connection stays open when the engine is closed.
func New(ctx context.Context, js jetstream.JetStream, options ...Option) (*Engine, error) {
	if js == nil {
		return nil, errors.New("eventsnats: new: the JetStream context is nil")
	}
	e := &Engine{
		settings: readOptions(options), nc: js.Conn(),
		done: make(chan struct{}), receivers: make(map[*receiver]struct{}),
	}
	var err error
	if e.js, e.api, err = own(js); err != nil {
		return nil, fmt.Errorf("eventsnats: new: %w", err)
	}
	if e.events, err = e.checkStream(ctx, e.js, e.stream, e.prefix); err != nil {
		return nil, fmt.Errorf("eventsnats: new: %w", err)
	}
	if e.dead, err = e.checkStream(ctx, e.js, e.deadStream(), e.deadPrefix()); err != nil {
		return nil, fmt.Errorf("eventsnats: new: %w", err)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	e.background.Go(func() { e.watchConnection(background) })
	e.background.Go(func() { e.sweepNowAndThen(background) })
	return e, nil
}

// own returns a context for the engine alone, which gives up what is not answered: the
// user's would keep that, and at last take nothing more. api is what the subjects of its
// requests begin with.
func own(js jetstream.JetStream) (own jetstream.JetStream, api string, err error) {
	options := []jetstream.JetStreamOpt{jetstream.WithPublishAsyncTimeout(longestWait), jetstream.WithPublishAsyncMaxPending(mostPending)}
	switch o := js.Options(); {
	case o.APIPrefix != "":
		api = strings.TrimSuffix(o.APIPrefix, ".") + "."
		own, err = jetstream.NewWithAPIPrefix(js.Conn(), o.APIPrefix, options...)
	case o.Domain != "":
		api = "$JS." + o.Domain + ".API."
		own, err = jetstream.NewWithDomain(js.Conn(), o.Domain, options...)
	default:
		api = "$JS.API."
		own, err = jetstream.New(js.Conn(), options...)
	}
	return own, api, err
}

// Features returns what JetStream can do: no order by key, no fencing and no delayed
// publish; and a Publish of several messages may store some of them.
func (*Engine) Features() durable.Features {
	return durable.Features{Delay: true, Attempts: true, Renew: true, DeadLetters: true, FromStart: true}
}

// Close ends what the engine has running; receivers that wait return. What is asked for
// later is refused with [durable.ErrClosed]. It may be called more than once.
func (e *Engine) Close(context.Context) error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.done)
	}
	e.mu.Unlock()
	e.stop()
	e.background.Wait()
	return nil
}

func (e *Engine) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// watchConnection is the goroutine that has receivers ask anew when the connection is back:
// a server knows nothing of what was asked on another one.
func (e *Engine) watchConnection(ctx context.Context) {
	connected := e.nc.StatusChanged(nats.CONNECTED)
	defer e.nc.RemoveStatusListener(connected)
	for {
		select {
		case _, ok := <-connected:
			if !ok { // the connection is closed for good
				return
			}
			e.mu.Lock()
			for r := range e.receivers {
				r.askAnew()
			}
			e.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}
