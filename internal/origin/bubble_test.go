package origin_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/origin"
)

// TestLifeOutlivesABubble runs in a process of its own, since the runtime ends
// that when a channel of a synctest bubble is closed from outside.
func TestLifeOutlivesABubble(t *testing.T) {
	const child = "EVENTS_TEST_CHILD"
	if os.Getenv(child) == "" {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLifeOutlivesABubble$")
		command.Env = append(os.Environ(), child+"=1")
		output, err := command.CombinedOutput()
		require.NoError(t, err, "%s", output)
		return
	}
	life, cause := new(origin.Life), errors.New("over")
	inside := origin.Maker{Origin: &origin.Origin{Life: life}}
	outside := origin.Maker{Origin: &origin.Origin{Life: life}}
	var forgotten context.Context
	synctest.Test(t, func(*testing.T) {
		forgotten = inside.For(context.Background(), 1)
		_ = forgotten.Done()
	})
	kept := outside.For(context.Background(), 1)
	done := kept.Done()
	life.End(cause)
	<-done
	require.Equal(t, cause, context.Cause(kept))
	runtime.KeepAlive(forgotten)
}
