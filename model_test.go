package events_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/typedbus/events"
)

// model is a bus that is too simple to be wrong.
type model struct {
	failFast bool
	subs     []*modelSub // in the order in which they subscribed
	types    map[string]string
}

type modelSub struct {
	id       int
	name     string // or pattern
	wild     bool
	typed    string // the payload type of a typed handler
	priority int
	once     bool
	handler  func(event, payload string) error
}

// exact reports whether a handler has subscribed to the very name.
func (m *model) exact(name string) bool {
	return slices.ContainsFunc(m.subs, func(s *modelSub) bool { return !s.wild && s.name == name })
}

// bind reports whether the name may carry the type, which it then does for as
// long as someone has subscribed to it.
func (m *model) bind(name, payloadType string) bool {
	if !m.exact(name) {
		delete(m.types, name)
	}
	if bound, ok := m.types[name]; ok {
		return bound == payloadType
	}
	m.types[name] = payloadType
	return true
}

func (m *model) subscribe(s *modelSub) bool {
	if s.typed != "" && !m.bind(s.name, s.typed) {
		return false
	}
	if !s.wild && !m.exact(s.name) && s.typed == "" {
		delete(m.types, s.name)
	}
	m.subs = append(m.subs, s)
	return true
}

func (m *model) unsubscribe(id int) {
	m.subs = slices.DeleteFunc(slices.Clone(m.subs), func(s *modelSub) bool { return s.id == id })
}

func (m *model) hears(s *modelSub, name string) bool {
	return s.name == name || s.wild && matches(strings.Split(s.name, "."), strings.Split(name, "."))
}

// publish runs the handlers; typed is the payload type of a typed publish.
func (m *model) publish(name, typed string, payload any) (errs modelErrors) {
	if typed != "" && m.exact(name) && !m.bind(name, typed) {
		return modelErrors{"conflict"}
	}
	hearing := slices.DeleteFunc(slices.Clone(m.subs), func(s *modelSub) bool { return !m.hears(s, name) })
	slices.SortStableFunc(hearing, func(a, b *modelSub) int { return b.priority - a.priority })
	for _, s := range hearing {
		err := s.deliver(m, name, payload)
		for _, cause := range flatten(err) {
			errs = append(errs, name+": "+cause)
		}
		if err != nil && m.failFast {
			break
		}
	}
	return errs
}

func (s *modelSub) deliver(m *model, name string, payload any) (err error) {
	if s.once && s.handler == nil {
		return nil // somebody was faster
	}
	view := describe(payload)
	if s.typed != "" {
		var ok bool
		if view, ok = readAs(s.typed, payload); !ok {
			return modelErrors{"payload"}
		}
	}
	handler := s.handler
	if s.once {
		s.handler = nil
		defer m.unsubscribe(s.id)
	}
	defer func() {
		if value := recover(); value != nil {
			err = modelErrors{fmt.Sprint("panic: ", value)}
		}
	}()
	return handler(name, view)
}

// matches is what patterns mean, by definition.
func matches(pattern, name []string) bool {
	switch {
	case len(pattern) == 0 || len(name) == 0:
		return len(pattern) == len(name)
	case pattern[0] == ">" || pattern[0] == "**":
		return true
	default:
		return (pattern[0] == "*" || pattern[0] == name[0]) && matches(pattern[1:], name[1:])
	}
}

// readAs is the rule by which payloads reach typed handlers, for int and
// account.
func readAs(payloadType string, payload any) (string, bool) {
	switch p := payload.(type) {
	case int:
		return describe(p), payloadType == "int"
	case *int:
		return describe(p), payloadType == "int" && p != nil
	case account:
		return describe(p), payloadType == "account"
	case *account:
		return describe(p), payloadType == "account" && p != nil
	case map[string]any:
		id, ok := p["id"].(int)
		return describe(account{ID: id}), payloadType == "account" && ok
	}
	return "", false
}

// describe prints a payload, and a pointer as what it points to.
func describe(payload any) string {
	switch p := payload.(type) {
	case *int:
		if p != nil {
			return describe(*p)
		}
	case *account:
		if p != nil {
			return describe(*p)
		}
	}
	return fmt.Sprintf("%v", payload)
}

type modelErrors []string

func (e modelErrors) Error() string { return strings.Join(e, "; ") }

// flatten lists the causes in an error of either bus, in order, each behind
// the events on its way.
func flatten(err error) (causes []string) {
	switch e := err.(type) {
	case nil:
	case modelErrors:
		causes = e
	case *events.HandlerError:
		for _, cause := range flatten(e.Err) {
			causes = append(causes, e.Event+": "+cause)
		}
	case *events.PayloadError:
		causes = []string{"payload"}
	case *events.PanicError:
		causes = []string{e.Error()}
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			causes = append(causes, flatten(each)...)
		}
	default:
		if errors.Is(err, events.ErrTopicConflict) {
			return []string{"conflict"}
		}
		causes = []string{err.Error()}
	}
	return causes
}

// disagreement plays the script on a bus and on the model, and returns where
// the two differ, with what led there.
func disagreement(script []byte, failFast bool) string {
	var options []events.BusOption
	if failFast {
		options = append(options, events.WithFailFast())
	}
	want := play(script, &modelSystem{model{failFast: failFast, types: make(map[string]string)}})
	got := play(script, &busSystem{bus: events.New(options...), subs: make(map[int]*events.Subscription)})
	if slices.Equal(want, got) {
		return ""
	}
	same := 0
	for same < min(len(want), len(got)) && want[same] == got[same] {
		same++
	}
	next := func(trace []string) string { return strings.Join(trace[same:min(same+3, len(trace))], "\n") }
	return fmt.Sprintf("%s\n--- model:\n%s\n--- bus:\n%s", strings.Join(want[:same], "\n"), next(want), next(got))
}

// agree fails the test with a short script if the bus disagrees with the model.
func agree(t *testing.T, script []byte, failFast bool, origin string) {
	t.Helper()
	if disagreement(script, failFast) == "" {
		return
	}
	for before := len(script) + 1; len(script) < before; {
		before = len(script)
		for size := len(script); size > 0; size /= 2 {
			for at := 0; at+size <= len(script); {
				if shorter := slices.Delete(slices.Clone(script), at, at+size); disagreement(shorter, failFast) != "" {
					script = shorter
				} else {
					at++
				}
			}
		}
	}
	for i := range script {
		// What a byte means depends on its remainder only; a small one says it best.
		for b := range byte(20) {
			if smaller := slices.Replace(slices.Clone(script), i, i+1, b); b < script[i] && disagreement(smaller, failFast) != "" {
				script = smaller
				break
			}
		}
	}
	t.Fatalf("%sfail-fast %t, script %#v:\n%s", origin, failFast, script, disagreement(script, failFast))
}

var (
	modelSeed = flag.Uint64("model.seed", 0, "seed of TestBusAgreesWithModel, 0 for a new one")
	modelTime = flag.Duration("model.time", time.Second, "how long TestBusAgreesWithModel runs")
)

// TestBusAgreesWithModel plays random scripts. To look at one that failed give
// its seed: go test -run Model -model.seed=N
func TestBusAgreesWithModel(t *testing.T) {
	until := time.Now().Add(*modelTime)
	if testing.Short() {
		until = time.Now().Add(*modelTime / 10)
	}
	played := 0
	for ; played == 0 || *modelSeed == 0 && time.Now().Before(until); played++ {
		seed := *modelSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		random := rand.New(rand.NewPCG(seed, 0))
		script := make([]byte, 1+random.IntN(400))
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		agree(t, script, random.IntN(2) == 0, fmt.Sprintf("-model.seed=%d, ", seed))
	}
	t.Logf("%d scripts", played)
}

func FuzzBus(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add([]byte{2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, false)                                     // one typed handler
	f.Add([]byte{2, 2, 0, 1, 0, 1, 4, 3, 3, 0, 0, 1, 0, 0, 1, 1, 1, 0}, true)                    // failures and a pattern
	f.Add([]byte{2, 0, 1, 2, 0, 0, 1, 1, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, false)       // subscribes in a handler
	f.Add([]byte{2, 4, 1, 0, 0, 1, 6, 1, 1, 0, 0, 0, 1, 0, 1, 4, 0, 0, 0, 1, 0, 4, 1, 0}, false) // nested publish, once
	f.Fuzz(func(t *testing.T, script []byte, failFast bool) {
		if len(script) > 2000 {
			t.Skip("long scripts find nothing that short ones do not")
		}
		agree(t, script, failFast, "")
	})
}
