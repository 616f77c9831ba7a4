package goid

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestCurrentIsOfOneGoroutine(t *testing.T) {
	here := Current()
	require.NotEqual(t, uint64(Unknown), here)
	require.Equal(t, here, Current())

	var mu sync.Mutex
	seen := map[uint64]bool{here: true}
	var group sync.WaitGroup
	hold := make(chan struct{})
	for range 100 {
		group.Go(func() {
			id := Current()
			mu.Lock()
			seen[id] = true
			if len(seen) == 101 {
				close(hold)
			}
			mu.Unlock()
			<-hold // a number may be used again once its goroutine has ended
		})
	}
	group.Wait()
	require.Len(t, seen, 101)
}

func TestParse(t *testing.T) {
	for line, want := range map[string][2]uint64{
		"goroutine 7 [running]:":                                            {7, 0},
		"goroutine 7 [running, synctest bubble 9]:":                         {7, 9},
		"goroutine 7 [running, synctest bubble 9, locked to thread]:\nmain": {7, 9},
		"goroutine 7 [running]:\nsynctest bubble 9]":                        {7, 0},
		"goroutine 18446744073709551615 [running]:":                         {18446744073709551615, 0},
		"goroutine 18446744073709551616 [running]:":                         {Unknown, 0},
		"goroutine 7":            {Unknown, 0},
		"goroutine x [running]:": {Unknown, 0},
		"thread 7 [running]:":    {Unknown, 0},
		"":                       {Unknown, 0},
	} {
		goroutine, bubble := parse([]byte(line))
		require.Equal(t, want, [2]uint64{goroutine, bubble}, line)
	}
}

func TestBubble(t *testing.T) {
	require.Zero(t, Bubble())
	seen := make(map[uint64]bool)
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			here := Bubble()
			require.NotZero(t, here)
			var within uint64
			var group sync.WaitGroup
			group.Go(func() { within = Bubble() })
			group.Wait()
			require.Equal(t, here, within)
			seen[here] = true
		})
	}
	require.Len(t, seen, 3)
}

func BenchmarkCurrent(b *testing.B) {
	var atDepth func(depth int) uint64
	atDepth = func(depth int) uint64 {
		if depth == 0 {
			return Current()
		}
		return atDepth(depth - 1)
	}
	for name, depth := range map[string]int{"shallow": 0, "50 frames": 50} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if atDepth(depth) == Unknown {
					b.Fatal("unknown")
				}
			}
		})
	}
}
