// Package modules installs and removes parts of the application. It still uses
// the global dispatcher.
package modules

import (
	"context"
	"errors"
	"fmt"

	"neonex/core/pkg/events"
)

func Listen() {
	events.Register(events.EventModuleInstalled, func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]interface{})
		fmt.Println("modules: installed", data["name"].(string), data["version"].(string))
		return nil
	})
	events.Register(events.EventModuleActivated, onActivated)
	events.Register(events.EventModuleUpdated, func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]interface{})
		fmt.Println("modules: updated", data["name"].(string), "to", data["version"].(string))
		return nil
	})
	events.Register(events.EventModuleUninstalled, func(ctx context.Context, event events.Event) error {
		switch data := event.Data.(type) {
		case string:
			fmt.Println("modules: removed", data)
		case map[string]interface{}:
			fmt.Println("modules: removed", data["name"])
		default:
			return errors.New("what was removed?")
		}
		return nil
	})
	events.Register(events.EventSystemStarted, func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]interface{})
		fmt.Printf("modules: up after %v ms (%T)\n", data["boot_ms"], data["boot_ms"])
		return nil
	})
	events.Register("cacheCleared", func(context.Context, events.Event) error {
		fmt.Println("modules: cache is empty")
		return nil
	})
}

// announce is how most of the module's events are sent.
func announce(ctx context.Context, name string, data map[string]interface{}) error {
	return events.Dispatch(ctx, events.Event{Name: name, Data: data})
}

func Install(ctx context.Context, name, version string) error {
	if err := events.Dispatch(ctx, events.Event{
		Name: events.EventModuleInstalled,
		Data: map[string]interface{}{"name": name, "version": version},
	}); err != nil {
		return err
	}
	return announce(ctx, events.EventModuleActivated, map[string]interface{}{"name": name})
}

func Update(ctx context.Context, name string, version interface{}) error {
	return events.Dispatch(ctx, events.Event{
		Name: events.EventModuleUpdated,
		Data: map[string]interface{}{"name": name, "version": version},
	})
}

func Remove(ctx context.Context, name string) error {
	if err := events.Dispatch(ctx, events.Event{Name: events.EventModuleUninstalled, Data: name}); err != nil {
		return err
	}
	return events.Dispatch(ctx, events.Event{
		Name: events.EventModuleUninstalled,
		Data: map[string]interface{}{"name": name},
	})
}

func Start(ctx context.Context, bootTime int64) error {
	if err := events.Dispatch(ctx, events.Event{
		Name: events.EventSystemStarted,
		Data: map[string]interface{}{"boot_ms": bootTime},
	}); err != nil {
		return err
	}
	return events.Dispatch(ctx, events.Event{
		Name: events.EventSystemStarted,
		Data: map[string]interface{}{"boot_ms": 0}, // warm
	})
}

func ClearCache(ctx context.Context) error {
	return events.Dispatch(ctx, events.Event{Name: "cacheCleared", Data: map[string]interface{}{}})
}

func onActivated(_ context.Context, event events.Event) error {
	data := event.Data.(map[string]interface{})
	fmt.Println("modules: active", data["name"].(string))
	return nil
}
