package eventsnats

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Migrate makes the two streams, for messages and for dead letters, in files. It leaves
// those that are there as they are.
func Migrate(ctx context.Context, js jetstream.JetStream, options ...Option) error {
	s := readOptions(options)
	for name, subject := range map[string]string{s.stream: s.prefix, s.deadStream(): s.deadPrefix()} {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{
			Name:        name,
			Subjects:    []string{subject + ".>"},
			Storage:     jetstream.FileStorage,
			Replicas:    s.replicas,
			AllowDirect: true,
		})
		if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return fmt.Errorf("eventsnats: migrate: stream %q: %w", name, err)
		}
	}
	return nil
}

// checkStream returns a stream, or an error if it is not as it must be.
func (s *settings) checkStream(ctx context.Context, js jetstream.JetStream, name, prefix string) (jetstream.Stream, error) {
	want := prefix + ".>"
	stream, err := js.Stream(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("stream %q does not exist, want one with the subjects %s: Migrate makes it", name, want)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		return nil, fmt.Errorf("stream %q: no server with JetStream answers: %w", name, err)
	case err != nil:
		return nil, fmt.Errorf("stream %q: %w", name, err)
	}
	config := stream.CachedInfo().Config
	if !slices.Contains(config.Subjects, want) {
		return nil, fmt.Errorf("stream %q has the subjects %q, want %s among them", name, config.Subjects, want)
	}
	if config.NoAck {
		return nil, fmt.Errorf("stream %q acknowledges nothing (no_ack), want one that does", name)
	}
	if loss := losses(&config); loss != "" && !s.lossy {
		return nil, fmt.Errorf("stream %q %s, so that events could be lost that nobody has handled: change that, or accept it by WithLossyStream", name, loss)
	}
	return stream, nil
}

// losses says how a stream may lose what nobody has handled, or nothing.
func losses(c *jetstream.StreamConfig) string {
	switch {
	case c.Retention != jetstream.LimitsPolicy:
		return fmt.Sprintf("has the retention policy %v, want %v", c.Retention, jetstream.LimitsPolicy)
	case c.Storage != jetstream.FileStorage:
		return fmt.Sprintf("is kept in %v, want %v", c.Storage, jetstream.FileStorage)
	case c.MaxMsgs > 0:
		return fmt.Sprintf("keeps %d messages at most, want no limit", c.MaxMsgs)
	case c.MaxBytes > 0:
		return fmt.Sprintf("keeps %d bytes at most, want no limit", c.MaxBytes)
	case c.MaxAge > 0:
		return fmt.Sprintf("keeps messages for %v, want no limit", c.MaxAge)
	case c.MaxMsgsPerSubject > 0:
		return fmt.Sprintf("keeps %d messages of a subject at most, want no limit", c.MaxMsgsPerSubject)
	}
	return ""
}
