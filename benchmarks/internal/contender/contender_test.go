package contender_test

import (
	"testing"

	"github.com/typedbus/events/benchmarks/internal/contender"
)

func TestEveryContenderDeclaresWhatItIs(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range contender.All() {
		if c.ID == "" || c.Name == "" || c.Usage == "" || len(c.Modes) == 0 {
			t.Errorf("%+v is incomplete", c)
		}
		if seen[c.ID] {
			t.Errorf("%s is there twice", c.ID)
		}
		seen[c.ID] = true
		for _, mode := range []contender.Mode{contender.Inline, contender.Async, contender.Concurrent} {
			if c.Kind == contender.Peer && c.Modes[mode] == nil && c.Lacks[mode] == "" {
				t.Errorf("%s does not say why it has no %s mode", c.ID, mode)
			}
			if c.Modes[mode] != nil && c.Lacks[mode] != "" {
				t.Errorf("%s has the %s mode and says that it lacks it", c.ID, mode)
			}
		}
		if c.Kind == contender.Peer && c.Module == "" {
			t.Errorf("%s has no module", c.ID)
		}
	}
}

func TestARecorderCountsAndSeesDisorder(t *testing.T) {
	var r contender.Recorder
	done := r.Expect(2 * contender.Ring)
	for range 2 {
		for _, m := range contender.Messages(3) {
			if err := r.Handle(t.Context(), m.Order); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-done
	if err := r.Check(2 * contender.Ring); err != nil || r.Disorder() != 0 {
		t.Errorf("%v, disorder %d", err, r.Disorder())
	}
	if r.Check(1) == nil {
		t.Error("a wrong count is fine")
	}
	_ = r.Handle(t.Context(), contender.Messages(3)[7].Order)
	if r.Disorder() != 1 {
		t.Errorf("disorder %d after a gap", r.Disorder())
	}
}

func TestASharedRecorderCountsFromAnywhere(t *testing.T) {
	var r contender.Recorder
	r.Share()
	done := r.Expect(contender.Ring)
	for _, m := range contender.Messages(0) {
		go func() { _ = r.Handle(t.Context(), m.Order) }()
	}
	<-done
	if err := r.Check(contender.Ring); err != nil {
		t.Error(err)
	}
	<-func() <-chan struct{} {
		done := r.Expect(1)
		_ = r.Handle(t.Context(), contender.Order{})
		return done
	}()
}
