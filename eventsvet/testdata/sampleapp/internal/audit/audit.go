// Package audit writes down what happens.
package audit

import (
	"context"
	"fmt"
	"time"

	"neonex/core/pkg/events"
)

// Everything is what the audit log takes an interest in.
var Everything = []string{
	events.EventUserCreated,
	events.EventUserDeleted,
	events.EventModuleInstalled,
	"order.shipped",
}

func Listen(dispatcher *events.EventDispatcher) {
	for _, name := range Everything {
		dispatcher.Register(name, write)
	}
	dispatcher.Register(events.EventUserLoggedIn, func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]interface{})
		at := data["at"].(time.Time)
		_, local := data["local"]
		fmt.Println("audit: login of", data["id"], "at", at.Format(time.DateOnly), "local", local)
		return nil
	})
	dispatcher.Register(events.EventUserLoggedIn, withRecover(func(ctx context.Context, event events.Event) error {
		ip := event.Data.(map[string]interface{})["ip"].(string)
		fmt.Println("audit: from", ip)
		return nil
	}))
}

func write(ctx context.Context, event events.Event) error {
	fmt.Printf("audit: %s %v\n", event.Name, event.Data)
	return nil
}

// withRecover keeps a handler's panic from ending the process.
func withRecover(next events.Handler) events.Handler {
	return func(ctx context.Context, event events.Event) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic in %s: %v", event.Name, r)
			}
		}()
		return next(ctx, event)
	}
}
