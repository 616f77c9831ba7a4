package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/typedbus/events"
)

// User is the payload of the examples.
type User struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// UserCreated is a contract: declared once, at package level, bound to no bus.
var UserCreated = events.NewTopic[User]("user.created")

func Example() {
	ctx := context.Background()
	bus := events.New()
	defer bus.Close(ctx)

	UserCreated.Subscribe(bus, func(ctx context.Context, u User) error {
		fmt.Println("welcome", u.Name)
		return nil
	})
	bus.Subscribe("user.*", func(ctx context.Context, e events.Event) error {
		fmt.Printf("audit: %s %+v\n", e.Name, e.Data)
		return nil
	})

	if err := UserCreated.Publish(ctx, bus, User{ID: 1, Name: "Ada"}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// welcome Ada
	// audit: user.created {ID:1 Name:Ada}
}

func ExampleNewTopic() {
	invoicePaid := events.NewTopic[int64]("invoice.paid", events.WithFailFast())
	fmt.Println(invoicePaid.Name())
	// Output: invoice.paid
}

func ExampleTopic_Publish() {
	ctx := context.Background()
	bus := events.New()
	UserCreated.Subscribe(bus, func(ctx context.Context, u User) error {
		return errors.New("mail server is away")
	}, events.WithName("mail"))
	UserCreated.Subscribe(bus, func(ctx context.Context, u User) error {
		fmt.Println("counted", u.Name)
		return nil
	})

	err := UserCreated.Publish(ctx, bus, User{ID: 1, Name: "Ada"})
	fmt.Println(err)
	for failure := range events.Failures(err) {
		fmt.Println("failed:", failure.Handler)
	}
	// Output:
	// counted Ada
	// handler mail failed for event user.created: mail server is away
	// failed: mail
}

func ExampleTopic_PublishAsync() {
	bus := events.New(events.WithErrorHandler(func(ctx context.Context, err error) {
		fmt.Println("reported:", err)
	}))
	UserCreated.Subscribe(bus, func(ctx context.Context, u User) error {
		if ctx.Err() != nil {
			return ctx.Err() // not because of the request
		}
		return fmt.Errorf("no mailbox for %s", u.Name)
	}, events.WithName("mail"))

	request, cancel := context.WithCancel(context.Background())
	UserCreated.PublishAsync(request, bus, User{ID: 1, Name: "Ada"})
	cancel() // the request is over, the event is not

	bus.Close(context.Background())
	// Output: reported: handler mail failed for event user.created: no mailbox for Ada
}

func ExampleTopic_Subscribe() {
	ctx := context.Background()
	bus := events.New()
	greet := func(ctx context.Context, u User) error {
		fmt.Println("hello", u.Name)
		return nil
	}
	first := func(ctx context.Context, u User) error {
		fmt.Println("the first one ever")
		return nil
	}
	sub, err := UserCreated.Subscribe(bus, greet)
	if err != nil {
		fmt.Println(err)
		return
	}
	UserCreated.Subscribe(bus, first, events.WithOnce(), events.WithPriority(10))

	UserCreated.Publish(ctx, bus, User{Name: "Ada"})
	UserCreated.Publish(ctx, bus, User{Name: "Grace"})
	sub.Unsubscribe()
	UserCreated.Publish(ctx, bus, User{Name: "Edsger"})
	// Output:
	// the first one ever
	// hello Ada
	// hello Grace
}

func ExampleBus_Subscribe() {
	ctx := context.Background()
	bus := events.New()
	listen := func(pattern string) {
		_, err := bus.Subscribe(pattern, func(ctx context.Context, e events.Event) error {
			fmt.Printf("%-7s hears %s\n", pattern, e.Name)
			return nil
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	listen("user.*")
	listen("user.>")
	listen("*.eu.*")
	listen("user..x")

	bus.Dispatch(ctx, events.Event{Name: "user.created"})
	bus.Dispatch(ctx, events.Event{Name: "user.eu.created"})
	// Output:
	// events: subscribe to "user..x": pattern has an empty segment, want segments between dots
	// user.*  hears user.created
	// user.>  hears user.created
	// user.>  hears user.eu.created
	// *.eu.*  hears user.eu.created
}

func ExampleBus_Dispatch() {
	ctx := context.Background()
	bus := events.New()
	UserCreated.Subscribe(bus, func(ctx context.Context, u User) error {
		fmt.Println("typed:", u.ID, u.Name)
		return nil
	}, events.WithName("greet"))

	// What reads as a User reaches the typed handler; the rest is an error.
	fmt.Println(bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]any{"id": 1, "name": "Ada"}}))
	fmt.Println(bus.Dispatch(ctx, events.Event{Name: "user.created", Data: 42}))
	// Output:
	// typed: 1 Ada
	// <nil>
	// handler greet failed for event user.created: payload of event user.created is int, want events_test.User
}

func ExampleBus_Close() {
	bus := events.New()
	OrderPlaced := events.NewTopic[int]("order.placed")
	OrderShipped := events.NewTopic[int]("order.shipped")

	OrderPlaced.Subscribe(bus, func(ctx context.Context, id int) error {
		fmt.Println("placed", id)
		return OrderShipped.PublishAsync(ctx, bus, id) // accepted, though the bus is closing
	})
	OrderShipped.Subscribe(bus, func(ctx context.Context, id int) error {
		fmt.Println("shipped", id)
		return nil
	})
	OrderPlaced.PublishAsync(context.Background(), bus, 7)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println("close:", bus.Close(ctx))
	fmt.Println(errors.Is(OrderPlaced.Publish(ctx, bus, 8), events.ErrClosed))
	// Output:
	// placed 7
	// shipped 7
	// close: <nil>
	// true
}

func ExampleNewEventDispatcher() {
	d := events.NewEventDispatcher()
	d.Register(events.EventUserCreated, func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]any)
		if data["email"] == nil {
			return errors.New("no address")
		}
		fmt.Println("mail to", data["email"])
		return nil
	})
	d.Register(events.EventUserCreated, func(ctx context.Context, event events.Event) error {
		fmt.Println("counted")
		return nil
	})

	ctx := context.Background()
	fmt.Println(d.Dispatch(ctx, events.Event{Name: events.EventUserCreated, Data: map[string]any{"email": "ada@example.com"}}))
	fmt.Println(d.Dispatch(ctx, events.Event{Name: events.EventUserCreated, Data: map[string]any{}}))
	// Output:
	// mail to ada@example.com
	// counted
	// <nil>
	// handler failed for event user.created: no address
}

func ExampleWithMapPayload() {
	ctx := context.Background()
	bus := events.New()
	userRenamed := events.NewTopic[User]("user.renamed", events.WithMapPayload())

	// This handler has not moved to types yet.
	bus.Register("user.renamed", func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]any)
		fmt.Println("map:", data["id"], data["name"])
		return nil
	})
	userRenamed.Subscribe(bus, func(ctx context.Context, u User) error {
		fmt.Println("typed:", u.ID, u.Name)
		return nil
	})
	userRenamed.Publish(ctx, bus, User{ID: 1, Name: "Ada"})
	// Output:
	// map: 1 Ada
	// typed: 1 Ada
}

func ExampleWithConcurrency() {
	ctx := context.Background()
	bus := events.New()
	pricesAsked := events.NewTopic[string]("prices.asked", events.WithConcurrency(3))
	offers := make(chan string, 3)
	for _, supplier := range []string{"a", "b", "c"} {
		pricesAsked.Subscribe(bus, func(ctx context.Context, article string) error {
			offers <- supplier
			return nil
		})
	}
	// Publish waits for all of them.
	fmt.Println(pricesAsked.Publish(ctx, bus, "teapot"), len(offers))
	// Output: <nil> 3
}

func ExampleWithUnhandled() {
	bus := events.New(events.WithUnhandled(func(ctx context.Context, e events.Event) {
		fmt.Println("nobody listens to", e.Name)
	}))
	bus.Dispatch(context.Background(), events.Event{Name: "user.craeted"})
	// Output: nobody listens to user.craeted
}

func ExampleRetry() {
	ctx := context.Background()
	bus := events.New()
	try := 0
	UserCreated.Subscribe(bus, func(ctx context.Context, u User) error {
		try++
		fmt.Println("try", try)
		if try < 3 {
			return errors.New("not yet")
		}
		return nil
	}, events.WithMiddleware(
		events.Retry(5, events.WithBackoff(time.Millisecond, time.Second)),
		events.Timeout(time.Second), // for each try
	))
	fmt.Println(UserCreated.Publish(ctx, bus, User{ID: 1}))
	// Output:
	// try 1
	// try 2
	// try 3
	// <nil>
}

func ExamplePermanent() {
	ctx := context.Background()
	bus := events.New(events.WithMiddleware(events.Retry(5)))
	UserCreated.Subscribe(bus, func(ctx context.Context, u User) error {
		fmt.Println("tried")
		return events.Permanent(errors.New("address is invalid"))
	}, events.WithName("mail"))
	fmt.Println(UserCreated.Publish(ctx, bus, User{ID: 1}))
	// Output:
	// tried
	// handler mail failed for event user.created: address is invalid
}

func ExampleDeadLetter() {
	ctx := context.Background()
	bus := events.New(events.WithMiddleware(
		events.DeadLetter(func(ctx context.Context, e events.Event, err error) error {
			fmt.Printf("kept %s %+v: %v\n", e.Name, e.Data, err)
			return nil
		}),
		events.Retry(2, events.WithBackoff(time.Millisecond, time.Millisecond)),
	))
	UserCreated.Subscribe(bus, func(ctx context.Context, u User) error {
		return errors.New("disk is full")
	})
	fmt.Println(UserCreated.Publish(ctx, bus, User{ID: 1, Name: "Ada"}))
	// Output:
	// kept user.created {ID:1 Name:Ada}: disk is full
	// <nil>
}

func ExampleLogging() {
	ctx := context.Background()
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "took" || a.Key == "stack" {
				return slog.Attr{}
			}
			return a
		},
	}))
	bus := events.New(events.WithMiddleware(events.Logging(logger)))
	UserCreated.Subscribe(bus, func(ctx context.Context, u User) error { return nil }, events.WithName("count"))
	UserCreated.Subscribe(bus, func(ctx context.Context, u User) error { panic("out of luck") }, events.WithName("mail"))
	UserCreated.Publish(ctx, bus, User{ID: 1})
	// Output:
	// level=INFO msg="event handled" event=user.created handler=count
	// level=ERROR msg="event failed" event=user.created handler=mail error.panic="out of luck"
}
