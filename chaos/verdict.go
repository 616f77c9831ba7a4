package main

import (
	"context"
	"fmt"
)

func (d *director) rules(over bool) rules {
	return rules{lease: d.lease, groups: d.groups, over: over, gentle: d.gentle, forget: d.engine.broker}
}

// result checks what has happened.
func (d *director) result(ctx context.Context) (r result, err error) {
	lags, err := d.store.lags(ctx)
	if err != nil {
		return r, err
	}
	for _, g := range d.groups {
		if err := d.noteDead(ctx, g); err != nil {
			return r, err
		}
	}
	if err := d.library.update(); err != nil {
		return r, err
	}
	h := newHistory(d.library.entries)
	over := len(d.processes) == 0
	r.tallies, r.violations = check(h, d.rules(over))
	r.complaints, r.killings, r.blows = len(h.complaints), h.killings(), d.counts
	for _, g := range d.groups {
		if lag := lags[g.name]; over && lag > 0 {
			r.violations = append(r.violations, violation{checkStuck, g.name, fmt.Sprintf("%d events are still in the engine", lag)})
		}
	}
	return r, nil
}

// noteDead notes the dead letters of a group.
func (d *director) noteDead(ctx context.Context, g group) error {
	letters, after := d.store.DeadLetters(), ""
	for {
		list, err := letters.List(ctx, topic.Name(), g.name, after, 100)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, dead := range list {
			e, err := eventOf(&dead.Message)
			if err != nil {
				return err
			}
			d.ledger.write(entry{Kind: isDead, Group: g.name, Key: e.Key, Number: e.Number, Note: dead.Reason})
			after = dead.Ref
		}
	}
}
