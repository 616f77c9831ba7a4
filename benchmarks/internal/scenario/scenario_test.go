package scenario_test

import (
	"errors"
	"testing"
	"time"

	"github.com/typedbus/events/benchmarks/internal/contender"
	"github.com/typedbus/events/benchmarks/internal/scenario"
)

// Every contender does the work of every scenario that it does not declare that it lacks, and the counts are right.
func TestEveryContenderDeliversInEveryModeItClaims(t *testing.T) {
	for _, s := range scenario.All() {
		if s.ID == "topics" || s.Others > 0 || s.Handlers == 100 {
			continue
		}
		t.Run(s.ID, func(t *testing.T) {
			for _, c := range contender.All() {
				t.Run(c.ID, func(t *testing.T) {
					result, err := s.Measure(c, time.Millisecond)
					if _, ok := errors.AsType[*scenario.LackError](err); ok {
						t.Skip(err)
					}
					if err != nil {
						t.Fatal(err)
					}
					if result.Values[scenario.Nanos] <= 0 {
						t.Errorf("no time measured: %v", result.Values)
					}
					if result.Mark != "" {
						t.Log(result.Mark)
					}
				})
			}
		})
	}
}

// Ours must also come through what some peers fail at: leaving among others, and very many topics.
func TestOursComesAndGoesAndScales(t *testing.T) {
	for _, id := range []string{"churn-100", "topics"} {
		s, ok := scenario.ByID(id)
		if !ok {
			t.Fatalf("no scenario %s", id)
		}
		for _, c := range contender.All() {
			if _, err := s.Mode(c); err != nil || c.Kind != contender.Ours {
				continue
			}
			t.Run(id+"/"+c.ID, func(t *testing.T) {
				result, err := s.Measure(c, time.Millisecond)
				if err != nil || result.Mark != "" {
					t.Errorf("%v, %q", err, result.Mark)
				}
			})
		}
	}
}
