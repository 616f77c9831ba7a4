// Package durabletest has the conformance suite that every engine of package
// durable must pass, and an engine in memory for tests of programs.
package durabletest

import (
	"context"
	"testing"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
)

// Run checks that an engine keeps what package durable promises, as far as its
// Features claim it, and that the rest is refused. newEngine makes an engine
// without events and groups, and closes what it needs at the end of the test; Run
// closes the engine. It takes real time: some cases wait for leases to run out.
//
// Some engines can do more than a [durable.Engine] must. There are cases for those
// that have one of these methods, which a decorator with a method Unwrap may add to
// what newEngine returns:
//
//	// Begin begins a transaction of the caller's, and returns what publishes in it.
//	// Several are begun at once; where the database has but one, Begin waits or fails,
//	// and is called again.
//	Begin(ctx context.Context) (to durable.Publisher, commit, rollback func() error, err error)
//
//	// Once notes the event that is handled with ctx, in a transaction of its own, and
//	// reports whether its group has done so for the first time.
//	Once(ctx context.Context) (first bool, err error)
//
//	// Sweep deletes what every group has handled, and returns how many that were.
//	Sweep(ctx context.Context) (int64, error)
func Run(t *testing.T, newEngine func(t *testing.T) durable.Engine) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t)
			t.Cleanup(func() {
				if err := engine.Close(context.WithoutCancel(t.Context())); err != nil {
					t.Errorf("close the engine: %v", err)
				}
			})
			k := &kit{T: t, engine: engine, features: engine.Features()}
			k.topic = events.NewTopic[order]("conformance." + c.name)
			if c.needs != nil && !c.needs(k.features) {
				t.Skipf("%T does not claim this", engine)
			}
			c.run(k)
		})
	}
}
