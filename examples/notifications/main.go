// Notifications tells customers what happens to their parcels over several
// channels. Each channel is a handler: one that is down does not keep the
// others from telling, and a new one changes nothing for the publisher.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/typedbus/events"
)

type Parcel struct {
	Customer string
	Mail     string
	Phone    string // empty for customers who gave none
	Street   string
}

var (
	ParcelShipped   = events.NewTopic[Parcel]("parcel.shipped")
	ParcelDelivered = events.NewTopic[Parcel]("parcel.delivered")
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "notifications:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	log := log.New(out, "", 0)
	bus := events.New()
	phones := &textMessages{log: log}
	campaign, endCampaign := context.WithCancel(ctx)
	defer endCampaign()

	_, mail := ParcelShipped.Subscribe(bus, func(_ context.Context, p Parcel) error {
		log.Printf("mail to %s: on its way to %s", p.Mail, p.Street)
		return nil
	}, events.WithName("mail"))
	_, shipped := ParcelShipped.Subscribe(bus, phones.say("on its way"), events.WithName("text"))
	_, delivered := ParcelDelivered.Subscribe(bus, phones.say("at your door"), events.WithName("text"))

	// The courier stands at the door: the bell first, then the slower ones.
	_, bell := ParcelDelivered.Subscribe(bus, func(_ context.Context, p Parcel) error {
		log.Printf("bell rings at %s", p.Street)
		return nil
	}, events.WithName("bell"), events.WithPriority(10))

	// An offer is for as long as the campaign lasts, the toast for the first
	// parcel ever.
	_, offer := ParcelDelivered.Subscribe(bus, func(_ context.Context, p Parcel) error {
		log.Printf("mail to %s: 10%% off", p.Mail)
		return nil
	}, events.WithName("offer"), events.WithUntil(campaign))
	_, toast := ParcelDelivered.Subscribe(bus, func(context.Context, Parcel) error {
		log.Print("the team drinks to its first parcel")
		return nil
	}, events.WithName("toast"), events.WithOnce())
	if err := errors.Join(mail, shipped, delivered, bell, offer, toast); err != nil {
		return err
	}

	ada := Parcel{Customer: "Ada", Mail: "ada@example.com", Phone: "+44 20 7946 0018", Street: "12 Byron Row"}
	bob := Parcel{Customer: "Bob", Mail: "bob@example.com", Street: "3 Canal Walk"}
	for _, step := range []struct {
		title   string
		before  func()
		publish *events.Topic[Parcel]
		parcel  Parcel
	}{
		{"Ada's parcel ships", func() {}, ParcelShipped, ada},
		{"Ada's parcel arrives, texts are down", func() { phones.down = true }, ParcelDelivered, ada},
		{"Bob's parcel ships", func() {}, ParcelShipped, bob},
		{"Ada's next one arrives, texts are up, the campaign is over", func() { phones.down = false; endCampaign() }, ParcelDelivered, ada},
	} {
		step.before()
		log.Printf("-- %s", step.title)
		if err := step.publish.Publish(ctx, bus, step.parcel); err != nil {
			report(log, err)
		}
	}
	return bus.Close(ctx)
}

// report says which channel missed what. The others have told the customer.
func report(log *log.Logger, err error) {
	if failure, ok := errors.AsType[*events.HandlerError](err); ok {
		log.Printf("not told by %s of %s: %v", failure.Handler, failure.Event, failure.Err)
	} else {
		log.Print(err)
	}
}

// textMessages is a channel that is down at times.
type textMessages struct {
	log  *log.Logger
	down bool
}

var errDown = errors.New("text messages are down")

func (t *textMessages) say(text string) func(context.Context, Parcel) error {
	return func(_ context.Context, p Parcel) error {
		switch {
		case p.Phone == "":
			return nil
		case t.down:
			return errDown
		}
		t.log.Printf("text to %s: %s", p.Phone, text)
		return nil
	}
}
