// Migrate is one account service in three states: before it knew topics,
// halfway, and after. All three print the same, which is what makes moving one
// event at a time safe. Compare the folders, in this order:
//
//	before   names are strings, payloads are maps, handlers assert
//	halfway  users are typed, with one handler still on maps; deletions have
//	         a typed handler, with the publisher still on maps
//	after    all of it is typed
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/typedbus/events/examples/migrate/after"
	"github.com/typedbus/events/examples/migrate/before"
	//eventsvet:ignore conflict each state has a bus of its own
	"github.com/typedbus/events/examples/migrate/halfway"
)

var states = []struct {
	name string
	run  func(ctx context.Context, out *log.Logger) error
}{
	{"before", before.Run},
	{"halfway", halfway.Run},
	{"after", after.Run},
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "migrate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	for _, state := range states {
		if err := state.run(ctx, log.New(out, fmt.Sprintf("%-9s", state.name), 0)); err != nil {
			return fmt.Errorf("%s: %w", state.name, err)
		}
	}
	return nil
}
