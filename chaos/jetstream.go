package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events/eventsnats"
)

// onJetStream is a server that is this program in another role, with the server of NATS
// in it. Its end and restart are among the blows.
var onJetStream = &engine{
	name:    "jetstream",
	missing: func() string { return "" },
	broker:  true,
	start: func(ctx context.Context, folder string) (string, server, error) {
		s, err := startJetStream(ctx, filepath.Join(folder, "jetstream"))
		if err != nil {
			return "", nil, err
		}
		return s.address, s, nil
	},
	open: openJetStream,
}

type jetstreamStore struct {
	*eventsnats.Engine
	nc *nats.Conn
	js jetstream.JetStream
}

func openJetStream(ctx context.Context, address string) (store, error) {
	nc, err := nats.Connect(address, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	s := &jetstreamStore{nc: nc}
	if s.js, err = jetstream.New(nc); err == nil {
		s.Engine, err = eventsnats.New(ctx, s.js)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return s, nil
}

func (s *jetstreamStore) lags(ctx context.Context) (map[string]int64, error) {
	groups, err := s.Groups(ctx)
	lags := make(map[string]int64, len(groups))
	for _, g := range groups {
		lags[g.Name] = g.Lag
	}
	return lags, err
}

func (s *jetstreamStore) shut(ctx context.Context) error {
	err := s.Close(ctx)
	s.nc.Close()
	return err
}
