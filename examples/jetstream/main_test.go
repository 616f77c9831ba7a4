package main

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain runs the worker when the test has started itself as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "worker" {
		main()
		return
	}
	os.Exit(m.Run())
}

// output collects what several processes write.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func TestWorkersShareAndTakeOver(t *testing.T) {
	var out output
	require.NoError(t, demonstrate(t.Context(), &out))
	text := out.text.String()
	assert.Contains(t, text, "worker 1 receipt for order ")
	assert.Contains(t, text, "worker 2 receipt for order ")
	assert.Contains(t, text, "worker 1 killed while it was at work\n")
	assert.Contains(t, text, `dead letter {"id":7,"cents":6965}: the address is not known`)
	assert.Contains(t, text, "worker 2 receipt for order 7, 69.65 EUR, attempt 1\n")
	assert.NotContains(t, text, "attempt 3", "what a killed worker had comes once more, and nothing else")
	assert.True(t, strings.HasSuffix(text, "\n12 orders, and a receipt for each of them\n"), text)
}
