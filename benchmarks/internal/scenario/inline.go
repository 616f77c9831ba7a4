package scenario

import (
	"fmt"
	"strings"

	"github.com/typedbus/events/benchmarks/internal/contender"
)

// measureInline publishes to handlers that run before the publish returns. Its unit is one publish; with several
// publishers, the time from start to end divided by all that they published.
func measureInline(r *run) (Result, error) {
	bus, err := r.open(0)
	if err != nil {
		return Result{}, err
	}
	topic := bus.Topic("order.placed")
	recorders, err := r.subscribe(topic, r.scenario.Handlers)
	if err != nil {
		return Result{}, err
	}
	if r.scenario.NameMade {
		topic = bus.Topic(strings.Clone("order.placed"))
	}
	var rounds int
	all := r.publishers(func(messages []contender.Message) error { return publish(topic, messages, rounds) })
	last, n, total, err := r.grow(func(n int) error {
		rounds = n
		return all()
	})
	if err != nil {
		return Result{}, err
	}
	return finish(r, last, recorders, total, n*contender.Ring*r.scenario.Publishers)
}

// finish checks what the recorders saw and turns the stretch into a result.
func finish(r *run, last stretch, recorders []*contender.Recorder, total, operations int) (Result, error) {
	expected := uint64(total * contender.Ring * r.scenario.Publishers)
	var disorder uint64
	for _, recorder := range recorders {
		if err := recorder.Check(expected); err != nil {
			return Result{}, err
		}
		disorder += recorder.Disorder()
	}
	result := last.result(operations)
	if disorder > 0 {
		result.Mark = "events come out of order"
	}
	return result, nil
}

// bystanders is how many topics with a handler stand beside the one that nobody listens to.
const bystanders = 100

// measureNobody publishes to a topic without handlers, on a bus where other topics have some.
func measureNobody(r *run) (Result, error) {
	bus, err := r.open(queue)
	if err != nil {
		return Result{}, err
	}
	bystander := &contender.Recorder{}
	// A bus that binds events to Go types has one topic here, which must stay without handlers.
	for i := 0; i < bystanders && !r.contender.OneTopic; i++ {
		if _, err := bus.Topic(fmt.Sprintf("other.%d", i)).Subscribe(bystander); err != nil {
			return Result{}, err
		}
	}
	topic := bus.Topic("order.placed")
	messages := contender.Messages(0)
	last, rounds, _, err := r.grow(func(n int) error { return publish(topic, messages, n) })
	if err != nil {
		return Result{}, err
	}
	if err := bystander.Check(0); err != nil {
		return Result{}, err
	}
	return last.result(rounds * contender.Ring), nil
}
