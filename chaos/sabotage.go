package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sabotage is a change of the source of an engine that takes a protection away.
type sabotage struct {
	name     string
	about    string
	engine   string // or empty for all, or for those on SQL if that is what it changes
	scenario string // in which it has to be noticed
	file     string // from the root of the repository
	old, new string
}

var sabotages = []*sabotage{
	{
		name: "fence", about: "a settlement counts although the event is another's by now",
		scenario: "held-up", file: "eventssql/internal/engine/settle.go",
		old: `" where grp = ? and id = ? and token = ? and due is not null"`,
		new: `" where grp = ? and id = ? and (token = ? or true) and due is not null"`,
	},
	{
		name: "window", about: "a lease is trusted for ever by the process that has it",
		scenario: "mixed", file: "durable/lease.go",
		old: `return !one.lost && left > 0 && one.until.Round(0).Sub(now.Round(0)) > 0`,
		new: `return !one.lost && left > -1<<62`,
	},
	{
		name: "ack-first", about: "an event counts as handled when its handler begins",
		scenario: "mixed", file: "durable/hand.go",
		old: `one.state, one.began = isRunning, time.Now()`,
		new: `one.state, one.began = isRunning, time.Now()
			h.outbox = append(h.outbox, Settlement{Delivery: one.Delivery})
			h.outgoing.Signal()`,
	},
	{
		name: "prefetch-crash", about: "an event whose lease ran out is not handed out alone",
		scenario: "killer", file: "eventssql/internal/engine/claim.go",
		old: `func (d *delivery) isSuspect() bool { return d.token%2 == 1 || d.suspect }`,
		new: `func (d *delivery) isSuspect() bool { return false }`,
	},
	{
		name: "crash-count", about: "a crash counts as an attempt for all that the process had",
		scenario: "killer", file: "eventssql/internal/engine/claim.go",
		old: `func (d *delivery) isSuspect() bool { return d.token%2 == 1 || d.suspect }`,
		new: `func (d *delivery) isSuspect() bool {
	d.attempt += int(d.token % 2)
	return false
}`,
	},
	{
		name: "scan-order", about: "what is due is handed out whatever is before it in its key",
		scenario: "mixed", file: "eventssql/internal/engine/claim.go",
		old: "if !d.order.Valid || !d.line.taken && d.line.earlier <= mine {",
		new: "if d.id > 0 || mine > 0 {",
	},
	{
		name: "horizon", about: "the cursor goes by ids, whatever has not been committed yet",
		engine: "postgres", scenario: "open", file: "eventssql/postgres/horizon.go",
		old: "case len(seen.holders) == 0:",
		new: "case true:",
	},
	{
		name: "look-order", about: "the locks are looked at before the last id, not after, and the way to the server is long",
		engine: "postgres", scenario: "open", file: "eventssql/postgres/horizon.go",
		old: "return seen, conn.SendBatch(ctx, &batch).Close()",
		new: `if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
		return seen, err
	}
	time.Sleep(20 * time.Millisecond)
	return seen, conn.QueryRow(ctx, s.dialect.SQL("select last_value from @message_id")).Scan(&seen.last)`,
	},
	{
		name: "is-called", about: "the first id counts as taken before it is",
		engine: "postgres", scenario: "first", file: "eventssql/postgres/horizon.go",
		old: "case when is_called then last_value else 0 end",
		new: "last_value",
	},
	{
		name: "msgid", about: "different events have the same id for the stream",
		engine: "jetstream", scenario: "mixed", file: "eventsnats/message.go",
		old: `return url.PathEscape(m.Source) + "/" + url.PathEscape(m.Topic) + "/" + url.PathEscape(m.ID)`,
		new: `return url.PathEscape(m.Source) + "/" + url.PathEscape(m.Topic) + "/" + url.PathEscape(m.ID[:2])`,
	},
	{
		name: "term-first", about: "an event is given up before its dead letter is stored",
		engine: "jetstream", scenario: "mixed", file: "eventsnats/settle.go",
		old: `	errs := r.engine.publishMany(ctx, stream, messages)
`,
		new: `	for _, one := range all {
		_ = r.engine.nc.Publish(one.lease.message.Reply, one.over)
	}
	time.Sleep(300 * time.Millisecond)
	errs := r.engine.publishMany(ctx, stream, messages)
`,
	},
}

// isFor reports whether an engine has what the sabotage changes.
func (s *sabotage) isFor(e *engine) bool {
	if s.engine != "" {
		return s.engine == e.name
	}
	return !e.broker || !strings.HasPrefix(s.file, "eventssql/")
}

// apply writes the changed source and an overlay for the go command into a folder, and
// returns the path of the overlay.
func (s *sabotage) apply(root, folder string) (string, error) {
	path := filepath.Join(root, filepath.FromSlash(s.file))
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), s.old); n != 1 {
		return "", fmt.Errorf("break %s: what is to be changed is in %s %d times, want once: it has to follow the source", s.name, s.file, n)
	}
	changed := filepath.Join(folder, s.name+".go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(source), s.old, s.new, 1)), 0o644); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return "", err
	}
	path = filepath.Join(folder, s.name+".json")
	return path, os.WriteFile(path, overlay, 0o644)
}

// build builds the program with the change, and returns its path.
func (s *sabotage) build(ctx context.Context, folder string) (string, error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	overlay, err := s.apply(root, folder)
	if err != nil {
		return "", err
	}
	program := filepath.Join(folder, "chaos-"+s.name)
	if out, err := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("break %s: %w: %s", s.name, err, out)
	}
	return program, nil
}
