package topiclog_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/topiclog"
)

// parcel is a payload of some size.
type parcel struct {
	number int
	_      [100]byte
}

// TestMemoryOfWhatWasRead has many readers in step, none of which ever runs out of
// events: what all have read is let go of in steps of 32, though none of them
// falls idle, and though the slowest one may end.
func TestMemoryOfWhatWasRead(t *testing.T) {
	const readers, events, step = 100, 3000, 32
	for _, ending := range []bool{false, true} {
		l := topiclog.New[*parcel]()
		var all []*topiclog.Reader
		for range readers {
			all = append(all, l.Core().Open(topiclog.Options{Capacity: 2 * events, Lanes: 1}).NewReader())
		}
		var parcels []weak.Pointer[parcel]
		offer := func(number int) {
			p := &parcel{number: number}
			parcels = append(parcels, weak.Make(p))
			require.True(t, l.Offer(t.Context(), p, "", nil))
		}
		const ahead = 600 // so that the ring is so large that nothing is written over soon
		for number := range ahead {
			offer(number)
		}
		for number := range events - ahead {
			offer(ahead + number)
			for _, r := range all {
				var e topiclog.Entry[*parcel]
				require.True(t, l.Next(r, &e))
				require.Equal(t, number, e.Payload.number)
			}
			if ending && number%50 == 0 && len(all) > 10 {
				last := len(all) - 1 // which release takes for the slowest one
				all[last].End(true)
				all[last].Exit()
				all = all[:last]
			}
			if number%97 == 0 {
				runtime.GC()
				held := 0
				for _, read := range parcels[:number+1] {
					if read.Value() != nil {
						held++
					}
				}
				require.LessOrEqual(t, held, step, "after %d", number)
			}
		}
		runtime.KeepAlive(l)
	}
}
