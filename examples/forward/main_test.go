package main

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestForwardKeepsOrderThroughAnOutage(t *testing.T) {
	var out strings.Builder
	require.NoError(t, forward(t.Context(), &syncWriter{to: &out}))
	var left []string
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "warehouse") {
			left = append(left, strings.TrimSpace(line))
		}
	}
	assert.Equal(t, []string{
		"warehouse: parcel of order 1 leaves for Long Street 10",
		"warehouse: parcel of order 2 leaves for Long Street 20",
		"warehouse: parcel of order 3 leaves for Long Street 30",
		"warehouse: parcel of order 4 leaves for Long Street 40",
		"warehouse: parcel of order 5 leaves for Long Street 50",
	}, left)
	assert.True(t, strings.HasSuffix(out.String(), "relay: 5 events forwarded\n"), out.String())
}

// syncWriter lets several goroutines write.
type syncWriter struct {
	mu sync.Mutex
	to *strings.Builder
}

func (w *syncWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}
