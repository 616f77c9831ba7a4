package durabletest

import (
	"context"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
)

func TestMemory(t *testing.T) {
	Run(t, func(*testing.T) durable.Engine { return &guest{Engine: NewMemory(), notes: make(map[string]bool)} })
}

// guest is a Memory in what stands for a database of the user's.
type guest struct {
	durable.Engine
	mu    sync.Mutex
	notes map[string]bool // of Once; guarded by mu
}

func (g *guest) Unwrap() durable.Engine { return g.Engine }

// pending is a publisher in a transaction.
type pending []durable.Message

func (p *pending) Publish(_ context.Context, messages ...durable.Message) error {
	*p = append(*p, messages...)
	return nil
}

func (g *guest) Begin(ctx context.Context) (to durable.Publisher, commit, rollback func() error, err error) {
	p := new(pending)
	return p, func() error { return g.Publish(ctx, *p...) }, func() error { return nil }, nil
}

func (g *guest) Once(ctx context.Context) (first bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := durable.FromContext(ctx)
	note := d.Group + " " + d.ID
	first = !g.notes[note]
	g.notes[note] = true
	return first, nil
}

// Sweep has nothing to do: a Memory keeps what it has.
func (g *guest) Sweep(context.Context) (int64, error) { return 0, nil }

// plain is an engine that claims nothing.
type plain struct{ engine *Memory }

func (plain) Features() durable.Features { return durable.Features{} }

func (p plain) Publish(ctx context.Context, messages ...durable.Message) error {
	return p.engine.Publish(ctx, messages...)
}

func (p plain) Open(ctx context.Context, c durable.Consumer) (durable.Receiver, error) {
	return p.engine.Open(ctx, c)
}

func (p plain) Close(ctx context.Context) error { return p.engine.Close(ctx) }

// TestEngineThatClaimsNothing has it keep what every engine must, and the rest be
// refused before it is asked.
func TestEngineThatClaimsNothing(t *testing.T) {
	Run(t, func(*testing.T) durable.Engine { return plain{NewMemory()} })
}

// TestEveryPromiseHasACase compares the headings of the package with the suite.
func TestEveryPromiseHasACase(t *testing.T) {
	text, err := os.ReadFile("../doc.go")
	require.NoError(t, err)
	promises, _, found := strings.Cut(string(text), "// # For maintainers")
	require.True(t, found)
	var want []string
	for _, heading := range regexp.MustCompile(`(?m)^// # (.*)$`).FindAllStringSubmatch(promises, -1) {
		name := ""
		for word := range strings.FieldsSeq(strings.ReplaceAll(heading[1], ",", "")) {
			name += strings.ToUpper(word[:1]) + word[1:]
		}
		want = append(want, name)
	}
	var got []string
	for _, c := range cases {
		if name, _, isPart := strings.Cut(c.name, "/"); !isPart {
			got = append(got, name)
		}
	}
	require.Equal(t, want, got)
}
