package engine

import (
	"context"
	"time"
)

// Chore does something every so often, until ctx is done. What it fails with is logged, with
// what cannot be done.
func (e *Engine) Chore(ctx context.Context, every time.Duration, cannot string, do func(context.Context) error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := do(ctx); err != nil && ctx.Err() == nil {
			e.Logger.Warn(e.Name+": cannot "+cannot, "error", err)
		}
	}
}
