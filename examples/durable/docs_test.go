package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/jackc/pgx/v5/pgxpool" // of the samples, as the next ones: so that go.mod has them
	_ "github.com/nats-io/nats.go/jetstream"
	_ "github.com/typedbus/events/eventsnats"
	_ "github.com/typedbus/events/eventssql/postgres"
)

// declared finds the variables of a sample, which need not be used.
var declared = regexp.MustCompile(`(?m)^([a-z]\w*), (err|cancel) :?= .*$`)

// TestSamples builds the samples of docs/durable.md, in their order, as one
// function: it is in this module that there is an engine.
func TestSamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/durable.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go fragment\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, blocks)
	var body strings.Builder // each sample is in the scope of the one before it
	for _, block := range blocks {
		body.WriteString("{\n" + declared.ReplaceAllString(block[1], "$0\n_, _ = $1, $2\n"))
	}
	program := `package main

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventsnats"
	"github.com/typedbus/events/eventssql/postgres"
	"github.com/typedbus/events/eventssql/sqlite"
)

type Order struct{ ID, Customer string }

var OrderPaid = events.NewTopic[Order]("order.paid")

var nc *nats.Conn

func mailReceipt(context.Context, Order) error { return nil }

func sample(ctx context.Context, order Order) error {
` + body.String() + strings.Repeat("}\n", len(blocks)) + `return nil
}

func main() { _ = sample }
`
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(program), 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "vet", filepath.Join(folder, "main.go")).CombinedOutput()
	require.NoError(t, err, string(out))
}
