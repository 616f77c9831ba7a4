package topiclog_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/topiclog"
)

func TestSmoke(t *testing.T) {
	l := topiclog.New[int]()
	c := l.Core().Open(topiclog.Options{Capacity: 4, Lanes: 1})
	r := c.NewReader()
	for n := range 4 {
		l.Core().Lock()
		v, _ := l.Core().Ask(nil, false)
		require.Equal(t, topiclog.Room, v)
		l.Append(context.Background(), n, "")
		l.Core().Unlock()
	}
	l.Core().Lock()
	v, _ := l.Core().Ask(nil, false)
	l.Core().Unlock()
	require.Equal(t, topiclog.NoRoom, v)
	got := 0
	var e topiclog.Entry[int]
	for ; l.Next(r, &e); got++ {
		require.Equal(t, got, e.Payload)
	}
	require.Equal(t, 4, got)
	require.Equal(t, topiclog.Asleep, r.Sleep())
	require.Zero(t, l.Core().Busy())
}
