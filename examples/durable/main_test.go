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
	if len(os.Args) == 4 && os.Args[1] == "worker" {
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

func TestShopGoesOnAfterItsWorkerIsKilled(t *testing.T) {
	var out output
	require.NoError(t, demonstrate(t.Context(), &out))
	text := out.text.String()
	assert.Contains(t, text, "worker 1 receipt for order 1, 9.95 EUR\n")
	assert.Contains(t, text, "worker 1 killed while it was at work\n")
	assert.Contains(t, text, "worker 2 receipt for order 14, 139.30 EUR\n")
	assert.NotContains(t, text, "receipt for order 5,", "it was rolled back")
	assert.True(t, strings.HasSuffix(text, "\n12 orders, and one receipt for each of them\n"), text)
}
