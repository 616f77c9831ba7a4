package events_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/typedbus/events"
)

func ExampleWithQueue() {
	ctx := context.Background()
	bus := events.New(events.WithErrorHandler(func(ctx context.Context, err error) {
		fmt.Println("reported:", err)
	}))
	UserCreated.Subscribe(bus, func(ctx context.Context, u User) error {
		if u.Name == "" {
			return errors.New("no name to greet")
		}
		fmt.Println("mail to", u.Name) // takes its time; the publisher is long gone
		return nil
	}, events.WithQueue(1024), events.WithName("greet"))

	for _, u := range []User{{1, "Ada"}, {2, ""}, {3, "Grace"}} {
		if err := UserCreated.Publish(ctx, bus, u); err != nil {
			fmt.Println(err)
		}
	}
	bus.Close(ctx) // returns when all mails are out
	// Output:
	// mail to Ada
	// reported: handler greet failed for event user.created: no name to greet
	// mail to Grace
}

func ExampleTopic_SubscribeBatch() {
	ctx := context.Background()
	bus := events.New()
	UserCreated.SubscribeBatch(bus, func(ctx context.Context, users []User) error {
		fmt.Println("insert", len(users), "rows, from", users[0].Name, "on")
		return nil
	}, events.WithBatch(3, time.Minute))

	for name := range strings.FieldsSeq("Ada Grace Edsger Barbara Donald") {
		UserCreated.Publish(ctx, bus, User{Name: name})
	}
	bus.Close(ctx) // the rest goes out, too
	// Output:
	// insert 3 rows, from Ada on
	// insert 2 rows, from Barbara on
}

func ExampleTopic_All() {
	ctx := context.Background()
	bus := events.New()
	users := UserCreated.All(ctx, bus)

	for name := range strings.FieldsSeq("Ada Grace Edsger") {
		UserCreated.Publish(ctx, bus, User{Name: name})
	}
	for ctx, u := range users {
		if ctx.Err() != nil || u.Name == "Edsger" {
			break // unsubscribes
		}
		fmt.Println("hello", u.Name)
	}
	fmt.Println("anyone listening?", bus.HasHandlers("user.created"))
	// Output:
	// hello Ada
	// hello Grace
	// anyone listening? false
}

// Payment is the payload of an example.
type Payment struct {
	Account string
	Amount  int
}

func ExampleWithLanes() {
	ctx := context.Background()
	bus := events.New()
	paymentMade := events.NewTopic[Payment]("payment.made")

	var mu sync.Mutex
	history := make(map[string][]int)
	paymentMade.Subscribe(bus, func(ctx context.Context, p Payment) error {
		mu.Lock()
		defer mu.Unlock()
		history[p.Account] = append(history[p.Account], p.Amount)
		return nil
	},
		events.WithQueue(1024),
		events.WithLanes(4), // four at a time, but those of one account in order
		events.WithOrderBy(func(p Payment) string { return p.Account }),
	)

	for amount := range 5 {
		for _, account := range []string{"ada", "grace"} {
			paymentMade.Publish(ctx, bus, Payment{account, 10 * amount})
		}
	}
	bus.Close(ctx)
	fmt.Println("ada  ", history["ada"])
	fmt.Println("grace", history["grace"])
	// Output:
	// ada   [0 10 20 30 40]
	// grace [0 10 20 30 40]
}

func ExampleWithReplay() {
	ctx := context.Background()
	bus := events.New()
	priceChanged := events.NewTopic[int]("price.changed", events.WithReplay(2))
	for _, price := range []int{100, 101, 99, 104} {
		priceChanged.Publish(ctx, bus, price) // nobody listens yet
	}

	priceChanged.Subscribe(bus, func(ctx context.Context, price int) error {
		fmt.Println(price)
		return nil
	}, events.WithQueue(16))
	priceChanged.Publish(ctx, bus, 105)
	bus.Close(ctx)
	// Output:
	// 99
	// 104
	// 105
}

func ExampleSubscription_Drain() {
	ctx := context.Background()
	bus := events.New()
	defer bus.Close(ctx)
	sub, err := UserCreated.Subscribe(bus, func(ctx context.Context, u User) error {
		fmt.Println("index", u.Name)
		return nil
	}, events.WithQueue(16))
	if err != nil {
		fmt.Println(err)
		return
	}

	UserCreated.Publish(ctx, bus, User{Name: "Ada"})
	UserCreated.Publish(ctx, bus, User{Name: "Grace"})
	if err := sub.Drain(ctx); err != nil { // gets no more, and handles what it has
		fmt.Println(err)
	}
	fmt.Println("swap the index")
	UserCreated.Publish(ctx, bus, User{Name: "Edsger"})
	// Output:
	// index Ada
	// index Grace
	// swap the index
}

func ExampleWithOverflow() {
	ctx := context.Background()
	bus := events.New()
	measured := events.NewTopic[int]("measured")
	begun, gate := make(chan bool), make(chan bool)
	measured.Subscribe(bus, func(ctx context.Context, n int) error {
		begun <- true
		<-gate // a handler that is too slow
		return nil
	}, events.WithQueue(2), events.WithOverflow(events.Reject))

	measured.Publish(ctx, bus, 1)
	<-begun // at work
	for n := 2; n <= 4; n++ {
		if err := measured.Publish(ctx, bus, n); errors.Is(err, events.ErrFull) {
			fmt.Println("try", n, "again later")
		}
	}
	close(gate)
	<-begun
	<-begun
	bus.Close(ctx)
	// Output: try 4 again later
}

func ExampleWithOverflow_dropOldest() {
	ctx := context.Background()
	bus := events.New(events.WithErrorHandler(func(ctx context.Context, err error) {
		fmt.Println(err)
	}))
	measured := events.NewTopic[int]("measured")
	begun, gate := make(chan bool, 10), make(chan bool)
	sub, err := measured.Subscribe(bus, func(ctx context.Context, n int) error {
		begun <- true
		<-gate
		fmt.Println("show", n)
		return nil
	}, events.WithName("display"), events.WithQueue(2), events.WithOverflow(events.DropOldest))
	if err != nil {
		fmt.Println(err)
		return
	}

	measured.Publish(ctx, bus, 1)
	<-begun
	for n := 2; n <= 6; n++ {
		measured.Publish(ctx, bus, n) // never waits
	}
	close(gate)
	bus.Close(ctx)
	fmt.Println(sub.Stats().Dropped, "lost in all")
	// Output:
	// show 1
	// 3 events dropped from the full queue of display before event measured
	// show 5
	// show 6
	// 3 lost in all
}
