package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/typedbus/events"
)

func TestRepetitionsReachOnlyWhatFailed(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	const want = `message m-71: payment P1
   booked P1
   to be sent again: handler thank failed for event payment.received: mail is down
message m-71: payment P1
   thanked for P1
   done
message m-72: payment P2
   booked P2
   thanked for P2
   done
message m-71: payment P1
   done
balance 48.40
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestMemoryEndsWithTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		handler := once(time.Hour, func(p Payment) string { return p.ID }, func(context.Context, Payment) error {
			runs++
			return nil
		})
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{0, 1}, {time.Hour - 1, 1}, {1, 2}} {
			time.Sleep(step.after)
			if err := handler(t.Context(), Payment{ID: "P1"}); err != nil {
				t.Fatal(err)
			}
			if runs != step.want {
				t.Errorf("%v later it has run %d times, want %d", step.after, runs, step.want)
			}
		}
	})
}

func TestTwinIsRefusedWhileUnderWay(t *testing.T) {
	bus := events.New()
	ctx := withMessage(t.Context(), "m-1")
	var twin error
	runs := 0
	_, err := PaymentReceived.Subscribe(bus, func(ctx context.Context, p Payment) error {
		if runs++; runs == 1 {
			twin = PaymentReceived.Publish(ctx, bus, p)
			panic("power cut")
		}
		return nil
	}, events.WithMiddleware(Deduplicate(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	if err := PaymentReceived.Publish(ctx, bus, Payment{}); err == nil {
		t.Error("the panic is no error")
	}
	if !errors.Is(twin, errBusy) {
		t.Errorf("the twin got error %v, want %v", twin, errBusy)
	}
	if err := PaymentReceived.Publish(ctx, bus, Payment{}); err != nil || runs != 2 {
		t.Errorf("after the panic: error %v, %d runs; want none and 2", err, runs)
	}
}

func TestEventsWithoutMessageAlwaysRun(t *testing.T) {
	bus := events.New()
	runs := 0
	_, err := PaymentReceived.Subscribe(bus, func(context.Context, Payment) error {
		runs++
		return nil
	}, events.WithMiddleware(Deduplicate(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := PaymentReceived.Publish(t.Context(), bus, Payment{}); err != nil {
			t.Fatal(err)
		}
	}
	if runs != 2 {
		t.Errorf("%d runs, want 2", runs)
	}
}
