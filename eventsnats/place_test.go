package eventsnats

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
)

// TestPlaceOf reads the addresses of all servers, and refuses what is none.
func TestPlaceOf(t *testing.T) {
	want := place{2, 7, time.Unix(0, 1700000000000000000)}
	for _, address := range []string{
		"$JS.ACK.events.order~paid@g.2.7.5.1700000000000000000.3",
		"$JS.ACK.hub.ACCHASH.events.order~paid@g.2.7.5.1700000000000000000.3",
		"$JS.ACK._.ACCHASH.events.order~paid@g.2.7.5.1700000000000000000.3.random",
		"$JS.ACK._.ACCHASH.events.order~paid@g.2.7.5.1700000000000000000.3.random.more",
	} {
		p, err := placeOf(&nats.Msg{Reply: address})
		assert.NoError(t, err, address)
		assert.Equal(t, want, p, address)
	}
	for _, address := range []string{"", "_INBOX.x", "$JS.ACK.events.g.2.7.5.1", "$JS.ACK.events.g.x.7.5.1.3", "$JS.ACK.events.g.2.-7.5.1.3", "$JS.ACK.events.g.2.7.5.x.3", "$JS.API.events.g.2.7.5.1.3"} {
		_, err := placeOf(&nats.Msg{Reply: address})
		assert.ErrorIs(t, err, errNoPlace, address)
	}
}
