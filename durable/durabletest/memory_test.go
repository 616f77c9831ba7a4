package durabletest_test

import (
	"testing"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/durabletest"
)

func TestMemory(t *testing.T) {
	durabletest.Run(t, func(*testing.T) durable.Engine { return durabletest.NewMemory() })
}
