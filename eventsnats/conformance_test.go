package eventsnats_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/durabletest"
	"github.com/typedbus/events/eventsnats"
)

// TestConformance has a stream for each case, at one server.
func TestConformance(t *testing.T) {
	s := startServer(t)
	var streams atomic.Int64
	durabletest.Run(t, func(t *testing.T) durable.Engine {
		name := fmt.Sprint("conformance-", streams.Add(1))
		return newEngine(t, s.connect(), eventsnats.WithStream(name), eventsnats.WithPrefix(name))
	})
}
