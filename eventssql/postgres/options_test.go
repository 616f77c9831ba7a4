package postgres_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/typedbus/events/eventssql/postgres"
)

// TestOptionsRefuse what could not be kept, at once.
func TestOptionsRefuse(t *testing.T) {
	for name, option := range map[string]func(){
		"no schema":           func() { postgres.WithSchema("") },
		"a long schema":       func() { postgres.WithSchema(strings.Repeat("s", 64)) },
		"a schema in quotes":  func() { postgres.WithSchema(`"shop"`) },
		"an odd prefix":       func() { postgres.WithPrefix("Events") },
		"a long prefix":       func() { postgres.WithPrefix(strings.Repeat("p", 41)) },
		"no size":             func() { postgres.WithMaxSize(0) },
		"a negative time":     func() { postgres.WithRetention(-1) },
		"a single connection": func() { postgres.WithConnections(1) },
		"no logger":           func() { postgres.WithLogger(nil) },
	} {
		assert.Panics(t, option, name)
	}
	assert.Contains(t, postgres.Schema(postgres.WithSchema("shop"), postgres.WithPrefix("bus_")), `create table if not exists "shop".bus_message`)
}
