package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

// receive dispatches data to a handler of a topic of T and returns what that
// got. A panic on the way is a failure.
func receive[T any](t *testing.T, data any) (payload T, err error) {
	t.Helper()
	bus := events.New()
	ran := false
	handle(t, bus, events.NewTopic[T]("a"), func(_ context.Context, p T) error {
		payload, ran = p, true
		return nil
	})
	err = bus.Dispatch(t.Context(), events.Event{Name: "a", Data: data})
	require.Equal(t, err == nil, ran, "delivered, or an error: %v", err)
	if err != nil {
		_, ok := errors.AsType[*events.PayloadError](err)
		require.True(t, ok, "%T: %v", err, err)
		_, panicked := errors.AsType[*events.PanicError](err)
		require.False(t, panicked, "%v", err)
	}
	return payload, err
}

// reads checks that data reaches a topic of T as want.
func reads[T any](t *testing.T, data any, want T) {
	t.Helper()
	got, err := receive[T](t, data)
	require.NoError(t, err, "%#v", data)
	require.Equal(t, want, got)
}

// misfits checks that data does not reach a topic of T, for a reason that the
// error gives.
func misfits[T any](t *testing.T, data any, says ...string) {
	t.Helper()
	got, err := receive[T](t, data)
	require.Error(t, err, "%#v was read as %#v", data, got)
	for _, part := range says {
		require.ErrorContains(t, err, part)
	}
}

type (
	fields = map[string]any

	shout   interface{ Shout() string }
	settled map[string]any
)

func (a account) Shout() string { return strings.ToUpper(a.Name) }

func TestPayloadKinds(t *testing.T) {
	t.Run("struct", func(t *testing.T) {
		reads(t, ada, ada)
		reads(t, &ada, ada)
		reads(t, fields{"id": 1, "name": "Ada"}, ada)
		misfits[account](t, (*account)(nil), "pointer is nil")
		misfits[account](t, nil, "nothing")
		misfits[account](t, struct{ ID int }{1})
		misfits[account](t, new(any))
		misfits[account](t, make(chan int))
		misfits[account](t, func() {})
	})
	t.Run("struct without fields", func(t *testing.T) {
		reads(t, struct{}{}, struct{}{})
		misfits[struct{}](t, fields{})
		misfits[struct{}](t, fields{"id": 1})
	})
	t.Run("pointer", func(t *testing.T) {
		reads(t, ada, &ada)
		reads(t, &ada, &ada)
		reads(t, (*account)(nil), (*account)(nil)) // a *T is what the topic carries
		reads(t, fields{"id": 1, "name": "Ada"}, &ada)
		misfits[*account](t, nil)
		misfits[*account](t, 7)
		misfits[*account](t, fields{"unknown": 7})
	})
	t.Run("the pointer itself, and a copy of a value", func(t *testing.T) {
		same := &account{ID: 3}
		got, err := receive[*account](t, same)
		require.NoError(t, err)
		require.Same(t, same, got)

		bus := events.New()
		value := account{ID: 3}
		topic := events.NewTopic[*account]("a")
		for range 2 {
			handle(t, bus, topic, func(_ context.Context, a *account) error {
				require.Equal(t, 3, a.ID, "what another handler does to its copy")
				a.ID++
				return nil
			})
		}
		require.NoError(t, bus.Dispatch(t.Context(), events.Event{Name: "a", Data: value}))
	})
	t.Run("interface", func(t *testing.T) {
		reads[shout](t, ada, ada)
		reads[shout](t, &ada, &ada)
		reads[shout](t, nil, nil)
		misfits[shout](t, 7, "int", "events_test.shout")
		misfits[shout](t, fields{"id": 1})
		reads[error](t, errBoom, errBoom)
	})
	t.Run("any", func(t *testing.T) {
		for _, data := range []any{nil, 7, "x", ada, &ada, fields{"id": 1}, fields{}, (*account)(nil)} {
			reads(t, data, data)
		}
	})
	t.Run("map", func(t *testing.T) {
		reads(t, fields{"id": 1}, fields{"id": 1})
		reads(t, fields{}, fields{})
		reads(t, fields(nil), fields(nil))
		reads(t, settled{"id": 1}, settled{"id": 1})
		misfits[fields](t, nil)
		misfits[fields](t, map[string]int{"id": 1})
		misfits[fields](t, ada)
	})
	t.Run("others", func(t *testing.T) {
		reads(t, 7, 7)
		seven := 7
		reads(t, &seven, 7)
		misfits[int](t, "7")
		misfits[int](t, 7.0)
		misfits[int](t, int64(7))
		misfits[int](t, fields{"id": 7})
		misfits[string](t, nil)
		reads(t, []int{1}, []int{1})
		misfits[[]int](t, []any{1})
		misfits[time.Time](t, fields{"wall": 7})
	})
	t.Run("a typed publish is never converted", func(t *testing.T) {
		bus := events.New()
		var got []any
		bus.Register("a", func(_ context.Context, e events.Event) error { got = append(got, e.Data); return nil })
		topic := events.NewTopic[*account]("a")
		handle(t, bus, topic, func(_ context.Context, a *account) error { got = append(got, a); return nil })
		for _, payload := range []*account{&ada, nil} {
			require.NoError(t, topic.Publish(t.Context(), bus, payload))
		}
		require.Equal(t, []any{&ada, &ada, (*account)(nil), (*account)(nil)}, got)
		require.Same(t, &ada, got[0])
	})
	t.Run("a nil interface published", func(t *testing.T) {
		bus := events.New()
		topic := events.NewTopic[error]("a")
		ran := 0
		handle(t, bus, topic, func(_ context.Context, err error) error { require.NoError(t, err); ran++; return nil })
		require.NoError(t, topic.Publish(t.Context(), bus, nil))
		bus.Register("a", func(_ context.Context, e events.Event) error { require.Nil(t, e.Data); ran++; return nil })
		require.NoError(t, topic.Publish(t.Context(), bus, nil))
		require.Equal(t, 3, ran)
	})
}

type (
	level   int
	address struct {
		City string `json:"city"`
		Zip  string `json:"zip,omitempty"`
	}
	base struct {
		ID      int       `json:"id"`
		Created time.Time `json:"created"`
	}
	Shared struct {
		Tenant string `json:"tenant"`
	}
	profile struct {
		base
		*Shared
		Name    string             `json:"name"`
		Plain   string             // by its Go name
		Hidden  string             `json:"-"`
		Dash    string             `json:"-,"` //nolint:staticcheck // a field named "-"
		private string             //nolint:unused // must not be reached
		Age     uint8              `json:"age"`
		Small   int8               `json:"small"`
		Count   int64              `json:"count"`
		Score   float64            `json:"score"`
		Half    float32            `json:"half"`
		OK      bool               `json:"ok"`
		Level   level              `json:"level"`
		Home    address            `json:"home"`
		Work    *address           `json:"work"`
		Older   []address          `json:"older"`
		Tags    []string           `json:"tags"`
		ByName  map[string]address `json:"by_name"`
		Counts  map[string]int     `json:"counts"`
		Pair    [2]int             `json:"pair"`
		Wait    time.Duration      `json:"wait"`
		Nick    *string            `json:"nick"`
		Extra   any                `json:"extra"`
		Raw     json.RawMessage    `json:"raw"`
		Failed  error              `json:"failed"`
	}
)

func TestPayloadFromMap(t *testing.T) {
	day := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	nick := "ace"
	lisbon := address{City: "Lisbon"}

	for name, test := range map[string]struct {
		data any
		want profile
	}{
		"tags":                       {fields{"name": "Ada"}, profile{Name: "Ada"}},
		"no tag":                     {fields{"Plain": "x"}, profile{Plain: "x"}},
		"another case":               {fields{"NAME": "Ada", "plain": "x"}, profile{Name: "Ada", Plain: "x"}},
		"the exact case wins":        {fields{"NAME": "no", "name": "Ada"}, profile{Name: "Ada"}},
		"a tag that is a dash":       {fields{"-": "x"}, profile{Dash: "x"}},
		"unknown keys beside":        {fields{"name": "Ada", "unknown": 1, "private": "no", "Hidden": "no"}, profile{Name: "Ada"}},
		"embedded":                   {fields{"id": 7}, profile{base: base{ID: 7}}},
		"embedded pointer":           {fields{"tenant": "t"}, profile{Shared: &Shared{Tenant: "t"}}},
		"7.0 is an int":              {fields{"id": 7.0, "age": 255.0, "count": float32(3)}, profile{base: base{ID: 7}, Age: 255, Count: 3}},
		"ints of any size":           {fields{"id": int64(7), "age": 200, "small": uint(5), "count": int8(-1)}, profile{base: base{ID: 7}, Age: 200, Small: 5, Count: -1}},
		"exact above 2^53":           {fields{"count": int64(1<<53 + 1)}, profile{Count: 1<<53 + 1}},
		"a large whole float":        {fields{"count": float64(1 << 62)}, profile{Count: 1 << 62}},
		"an int is a float":          {fields{"score": 7, "half": 2.5}, profile{Score: 7, Half: 2.5}},
		"named number":               {fields{"level": 3}, profile{Level: 3}},
		"duration":                   {fields{"wait": time.Second}, profile{Wait: time.Second}},
		"bool":                       {fields{"ok": true}, profile{OK: true}},
		"time":                       {fields{"created": day}, profile{base: base{Created: day}}},
		"time from a string":         {fields{"created": "2026-02-03T04:05:06Z"}, profile{base: base{Created: day}}},
		"struct as it is":            {fields{"home": lisbon}, profile{Home: lisbon}},
		"struct by pointer":          {fields{"home": &lisbon}, profile{Home: lisbon}},
		"struct from a map":          {fields{"home": fields{"city": "Lisbon"}}, profile{Home: lisbon}},
		"struct from another map":    {fields{"home": map[string]string{"city": "Lisbon"}}, profile{Home: lisbon}},
		"pointer from a map":         {fields{"work": fields{"city": "Lisbon"}}, profile{Work: &lisbon}},
		"pointer from a struct":      {fields{"work": lisbon}, profile{Work: &lisbon}},
		"nil for a pointer":          {fields{"work": nil, "nick": nil, "extra": nil, "tags": nil}, profile{}},
		"pointer to a string":        {fields{"nick": "ace"}, profile{Nick: &nick}},
		"value of a pointer":         {fields{"name": &nick}, profile{Name: "ace"}},
		"slice of maps":              {fields{"older": []any{fields{"city": "Lisbon"}, lisbon}}, profile{Older: []address{lisbon, lisbon}}},
		"slice of any":               {fields{"tags": []any{"a", "b"}}, profile{Tags: []string{"a", "b"}}},
		"map of maps":                {fields{"by_name": fields{"home": fields{"city": "Lisbon"}}}, profile{ByName: map[string]address{"home": lisbon}}},
		"map of numbers":             {fields{"counts": fields{"a": 1.0}}, profile{Counts: map[string]int{"a": 1}}},
		"array":                      {fields{"pair": []any{1, 2.0}}, profile{Pair: [2]int{1, 2}}},
		"any takes all":              {fields{"extra": fields{"x": []int{1}}}, profile{Extra: fields{"x": []int{1}}}},
		"interface":                  {fields{"failed": errBoom}, profile{Failed: errBoom}},
		"unmarshaler":                {fields{"raw": fields{"x": 1}}, profile{Raw: json.RawMessage(`{"x":1}`)}},
		"map of strings":             {map[string]string{"name": "Ada"}, profile{Name: "Ada"}},
		"named map":                  {settled{"name": "Ada"}, profile{Name: "Ada"}},
		"zero values are values too": {fields{"name": "", "id": 0}, profile{}},
	} {
		t.Run(name, func(t *testing.T) {
			reads(t, test.data, test.want)
			reads(t, test.data, &test.want)
		})
	}

	for name, test := range map[string]struct {
		data any
		says string
	}{
		"empty":                    {fields{}, "no key names a field"},
		"nil map":                  {fields(nil), "no key names a field"},
		"only unknown keys":        {fields{"unknown": 1}, "no key names a field"},
		"unexported field":         {fields{"private": "x"}, "no key names a field"},
		"field left out":           {fields{"Hidden": "x"}, "no key names a field"},
		"embedded by its name":     {fields{"base": fields{"id": 1}}, "no key names a field"},
		"keys are numbers":         {map[int]any{1: 1}, "map[int]"},
		"7.5 is no int":            {fields{"id": 7.5}, `key "id": float64 does not fit int`},
		"300 is no uint8":          {fields{"age": 300}, `key "age": int does not fit uint8`},
		"300.0 is no uint8":        {fields{"age": 300.0}, `key "age"`},
		"-1 is no uint8":           {fields{"age": -1}, `key "age"`},
		"128 is no int8":           {fields{"small": 128}, `key "small"`},
		"1e300 is no int64":        {fields{"count": 1e300}, `key "count"`},
		"2^63 is no int64":         {fields{"count": uint64(1 << 63)}, `key "count"`},
		"1e300 is no float32":      {fields{"half": 1e300}, `key "half"`},
		"not a number":             {fields{"score": func() float64 { return 1 }}, `key "score"`},
		"NaN is no int":            {fields{"id": math.NaN()}, `key "id"`},
		"a string is no int":       {fields{"id": "7"}, `key "id": string does not fit int`},
		"a bool is no int":         {fields{"id": true}, `key "id": bool does not fit int`},
		"an int is no string":      {fields{"name": 7}, `key "name": int does not fit string`},
		"an int is no bool":        {fields{"ok": 1}, `key "ok": int does not fit bool`},
		"nil is no int":            {fields{"id": nil}, `key "id": nothing does not fit int`},
		"nil is no string":         {fields{"name": nil}, `key "name": nothing does not fit string`},
		"nil is no struct":         {fields{"home": nil}, `key "home"`},
		"nil pointer for a value":  {fields{"name": (*string)(nil)}, `key "name"`},
		"nil map for a struct":     {fields{"home": fields(nil)}, `key "home"`},
		"no time":                  {fields{"created": "yesterday"}, `key "created"`},
		"a number is no time":      {fields{"created": 7}, `key "created"`},
		"one misfit of many":       {fields{"name": "Ada", "id": "x"}, `key "id"`},
		"nested misfit":            {fields{"home": fields{"city": 7}}, `key "home": key "city"`},
		"nested unknown":           {fields{"home": fields{"zzz": 7}}, `key "home": no key names a field`},
		"nested empty":             {fields{"work": fields{}}, `key "work"`},
		"element":                  {fields{"tags": []any{"a", 7}}, `key "tags": element 1: int does not fit string`},
		"element that is nil":      {fields{"tags": []any{nil}}, `key "tags": element 0`},
		"element that is a map":    {fields{"older": []any{fields{"zzz": 1}}}, `key "older": element 0`},
		"a value is no slice":      {fields{"tags": "a"}, `key "tags"`},
		"channel":                  {fields{"name": make(chan int)}, `key "name"`},
		"function for a struct":    {fields{"home": func() {}}, `key "home"`},
		"another struct":           {fields{"home": struct{ X int }{1}}, `key "home"`},
		"struct from an int map":   {fields{"home": map[int]string{1: "x"}}, `key "home"`},
		"map with a misfit":        {fields{"counts": fields{"a": "x"}}, `key "counts"`},
		"map with a nil":           {fields{"counts": fields{"a": nil}}, `key "counts"`},
		"map of maps, unknown":     {fields{"by_name": fields{"home": fields{"zzz": 1}}}, `key "by_name"`},
		"map of maps, nil":         {fields{"by_name": fields{"home": nil}}, `key "by_name"`},
		"array that is too long":   {fields{"pair": []int{1, 2, 3}}, `key "pair"`},
		"array that is too short":  {fields{"pair": []int{1}}, `key "pair"`},
		"interface not satisfied":  {fields{"failed": "text"}, `key "failed"`},
		"pointer to what misfits":  {fields{"nick": 7}, `key "nick"`},
		"bytes are no string":      {fields{"name": []byte("Ada")}, `key "name"`},
		"time in a nested pointer": {fields{"created": fields{"x": 1}}, `key "created"`},
	} {
		t.Run(name, func(t *testing.T) {
			misfits[profile](t, test.data, test.says)
			misfits[*profile](t, test.data, test.says)
		})
	}

	t.Run("a handler's own changes stay its own", func(t *testing.T) {
		bus := events.New()
		topic := events.NewTopic[account]("a")
		for range 2 {
			handle(t, bus, topic, func(_ context.Context, a account) error {
				require.Equal(t, "Ada", a.Name)
				return nil
			}, events.WithMiddleware(func(next events.Handler) events.Handler {
				return func(ctx context.Context, e events.Event) error {
					err := next(ctx, e)
					e.Data = nil
					return err
				}
			}))
		}
		require.NoError(t, bus.Dispatch(t.Context(), events.Event{Name: "a", Data: fields{"name": "Ada"}}))
	})
}

// These are the rules by which encoding/json finds fields.
type (
	left struct {
		ID int `json:"left_id"`
	}
	right struct {
		ID int `json:"right_id"`
	}
	twins struct { // Go has no ID here, JSON has two
		left
		right
	}
	shadow struct {
		left
		ID int `json:"outer"`
	}
	shallow struct { // the less deep of two wins
		Shared
		Tenant string `json:"tenant"`
	}
	plain  struct{ X string }
	marked struct { // the tagged of two as deep wins
		plain
		special
	}
	special struct {
		Y string `json:"X"`
	}
	cased struct {
		Lower string `json:"key"`
		Upper string `json:"KEY"`
	}
	tagged struct {
		Shared `json:"base"`
		Name   string
	}
	renamed struct {
		A string `json:"b"`
		B string `json:"a"`
	}
)

func TestPayloadFieldNames(t *testing.T) {
	agree := func(t *testing.T, check func(data fields)) {
		for _, data := range []fields{
			{"left_id": 1, "right_id": 2},
			{"left_id": 1},
			{"outer": 3, "left_id": 1},
			{"key": "x"},
			{"KEY": "x"},
			{"key": "x", "KEY": "y"},
			{"Key": "z"},
			{"base": fields{"tenant": "t"}},
			{"a": "1", "b": "2"},
			{"tenant": "t"},
			{"X": "x"},
		} {
			check(data)
		}
	}
	t.Run("as encoding/json", func(t *testing.T) {
		agree(t, func(data fields) { agrees[twins](t, data) })
		agree(t, func(data fields) { agrees[shadow](t, data) })
		agree(t, func(data fields) { agrees[shallow](t, data) })
		agree(t, func(data fields) { agrees[marked](t, data) })
		agree(t, func(data fields) { agrees[cased](t, data) })
		agree(t, func(data fields) { agrees[tagged](t, data) })
		agree(t, func(data fields) { agrees[renamed](t, data) })
	})
	t.Run("written as encoding/json", func(t *testing.T) {
		writes(t, twins{left{1}, right{2}})
		writes(t, shadow{left{1}, 3})
		writes(t, shallow{Shared{"inner"}, "outer"})
		writes(t, marked{plain{"x"}, special{"y"}})
		writes(t, cased{"x", "y"})
		writes(t, tagged{Shared{"t"}, "x"})
		writes(t, renamed{"x", "y"})
		writes(t, profile{base: base{ID: 1}, Shared: &Shared{"t"}, Name: "Ada"})
		writes(t, profile{})
	})
}

// agrees checks that data is read as encoding/json would, if any of its keys
// has a field.
func agrees[T any](t *testing.T, data fields) {
	t.Helper()
	var want, zero T
	text, err := json.Marshal(data)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &want))
	got, err := receive[T](t, data)
	if fmt.Sprint(want) == fmt.Sprint(zero) {
		require.Error(t, err, "%v has no key of %T", data, want)
		return
	}
	require.NoError(t, err, "%v into %T", data, want)
	require.Equal(t, want, got, "%v", data)
}

// writes checks that WithMapPayload gives the keys of encoding/json.
func writes[T any](t *testing.T, payload T) {
	t.Helper()
	var want, got fields
	text, err := json.Marshal(payload)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &want))
	for _, view := range mapViews(t, events.NewTopic[T]("a", events.WithMapPayload()), payload) {
		got = view.(fields)
	}
	keys := func(m fields) (keys []string) {
		for key := range m {
			keys = append(keys, key)
		}
		return keys
	}
	require.ElementsMatch(t, keys(want), keys(got), "%T", payload)
}

// mapViews returns what untyped handlers of a topic with WithMapPayload see,
// one of the name and one of a pattern.
func mapViews[T any](t *testing.T, topic *events.Topic[T], payload T) (views []any) {
	t.Helper()
	bus := events.New()
	keep := func(_ context.Context, e events.Event) error { views = append(views, e.Data); return nil }
	bus.Register(topic.Name(), keep)
	subscribe(t, bus, "*", keep)
	require.NoError(t, topic.Publish(t.Context(), bus, payload))
	require.Len(t, views, 2)
	return views
}

func TestWithMapPayload(t *testing.T) {
	type note struct {
		ID     int       `json:"id"`
		Text   string    `json:"text,omitempty"`
		At     time.Time `json:"at,omitzero"`
		Home   address   `json:"home"`
		Work   *address  `json:"work,omitempty"`
		Hidden string    `json:"-"`
		Plain  int8
	}
	topic := events.NewTopic[note]("note", events.WithMapPayload())

	t.Run("typed to untyped", func(t *testing.T) {
		for _, view := range mapViews(t, topic, note{ID: 1, Hidden: "x", Home: address{City: "Lisbon"}}) {
			// Go values as they are, not as JSON would give them.
			require.Equal(t, fields{"id": 1, "home": address{City: "Lisbon"}, "Plain": int8(0)}, view)
		}
		at := time.Now()
		work := &address{City: "Porto"}
		for _, view := range mapViews(t, topic, note{ID: 1, Text: "x", At: at, Work: work, Plain: 3}) {
			require.Equal(t, fields{"id": 1, "text": "x", "at": at, "home": address{}, "work": work, "Plain": int8(3)}, view)
		}
	})

	t.Run("a new map for each handler", func(t *testing.T) {
		bus := events.New()
		for range 2 {
			bus.Register("note", func(_ context.Context, e events.Event) error {
				data := e.Data.(fields)
				require.NotContains(t, data, "mine")
				data["mine"] = true
				return nil
			})
		}
		require.NoError(t, topic.Publish(t.Context(), bus, note{ID: 1}))
	})

	t.Run("untyped to typed", func(t *testing.T) {
		bus := events.New()
		var got []note
		var views []any
		handle(t, bus, topic, func(_ context.Context, n note) error { got = append(got, n); return nil })
		bus.Register("note", func(_ context.Context, e events.Event) error { views = append(views, e.Data); return nil })
		data := fields{"id": 1, "text": "x"}
		require.NoError(t, bus.Dispatch(t.Context(), events.Event{Name: "note", Data: data}))
		require.Equal(t, []note{{ID: 1, Text: "x"}}, got)
		require.Equal(t, []any{data}, views)
	})

	t.Run("there and back", func(t *testing.T) {
		want := note{ID: 1, Text: "x", Home: address{City: "Lisbon"}, Work: &address{City: "Porto"}, Plain: 3}
		for _, view := range mapViews(t, topic, want) {
			reads(t, view, want)
		}
	})

	t.Run("typed handlers see T, middleware of untyped ones the map", func(t *testing.T) {
		bus := events.New()
		var seen []string
		see := func(next events.Handler) events.Handler {
			return func(ctx context.Context, e events.Event) error {
				seen = append(seen, fmt.Sprintf("%T", e.Data))
				return next(ctx, e)
			}
		}
		handle(t, bus, topic, func(context.Context, note) error { return nil }, events.WithMiddleware(see))
		subscribe(t, bus, "note", quiet, events.WithMiddleware(see))
		require.NoError(t, topic.Publish(t.Context(), bus, note{}))
		require.Equal(t, []string{"events_test.note", "map[string]interface {}"}, seen)
	})

	t.Run("pointers", func(t *testing.T) {
		topic := events.NewTopic[*address]("a", events.WithMapPayload())
		for _, view := range mapViews(t, topic, &address{City: "Lisbon"}) {
			require.Equal(t, fields{"city": "Lisbon"}, view)
		}
		bus := events.New()
		handle(t, bus, topic, func(context.Context, *address) error { return nil })
		var view any
		bus.Register("a", func(_ context.Context, e events.Event) error { view = e.Data; return nil })
		require.NoError(t, bus.Dispatch(t.Context(), events.Event{Name: "a", Data: address{City: "Porto"}}))
		require.Equal(t, fields{"city": "Porto"}, view, "what is published untyped reads the same")
	})

	t.Run("embedded nil pointer", func(t *testing.T) {
		type holder struct {
			*Shared
			Name string
		}
		topic := events.NewTopic[holder]("a", events.WithMapPayload())
		for _, view := range mapViews(t, topic, holder{Name: "x"}) {
			require.Equal(t, fields{"Name": "x"}, view)
		}
	})

	t.Run("asynchronous", func(t *testing.T) {
		bus := events.New()
		var view any
		bus.Register("note", func(_ context.Context, e events.Event) error { view = e.Data; return nil })
		require.NoError(t, topic.PublishAsync(t.Context(), bus, note{ID: 1}))
		require.NoError(t, bus.Close(t.Context()))
		require.IsType(t, fields{}, view)
	})

	t.Run("with another declaration of the topic", func(t *testing.T) {
		bus := events.New()
		var views []any
		bus.Register("note", func(_ context.Context, e events.Event) error { views = append(views, e.Data); return nil })
		plain := events.NewTopic[note]("note")
		require.NoError(t, plain.Publish(t.Context(), bus, note{}))
		require.NoError(t, topic.Publish(t.Context(), bus, note{}))
		require.NoError(t, plain.Publish(t.Context(), bus, note{}))
		require.IsType(t, note{}, views[0])
		require.IsType(t, fields{}, views[1])
		require.IsType(t, fields{}, views[2], "the bus has met the option")
	})
}

func TestTopicConflict(t *testing.T) {
	number, text := events.NewTopic[int]("a"), events.NewTopic[string]("a")
	hear := func(context.Context, int) error { return nil }

	t.Run("every pair of types", func(t *testing.T) {
		bus := events.New()
		subscribed := handle(t, bus, number, hear)
		handleSame := events.NewTopic[int]("a")
		handle(t, bus, handleSame, hear).Unsubscribe()
		_, err := text.Subscribe(bus, func(context.Context, string) error { return nil })
		require.ErrorIs(t, err, events.ErrTopicConflict)
		_, err = events.NewTopic[*int]("a").Subscribe(bus, func(context.Context, *int) error { return nil })
		require.ErrorIs(t, err, events.ErrTopicConflict)
		_, err = events.NewTopic[any]("a").Subscribe(bus, func(context.Context, any) error { return nil })
		require.ErrorIs(t, err, events.ErrTopicConflict)
		require.ErrorIs(t, text.Publish(t.Context(), bus, "x"), events.ErrTopicConflict)

		// The name is free when nobody listens any more.
		subscribed.Unsubscribe()
		require.NoError(t, text.Publish(t.Context(), bus, "x"))
		handle(t, bus, text, func(context.Context, string) error { return nil })
		require.ErrorIs(t, number.Publish(t.Context(), bus, 1), events.ErrTopicConflict)
		_, err = number.Subscribe(bus, hear)
		require.ErrorIs(t, err, events.ErrTopicConflict)
	})

	t.Run("by a publish to an untyped handler", func(t *testing.T) {
		bus := events.New()
		var j journal
		bus.Register("a", j.noting("ran"))
		require.NoError(t, number.Publish(t.Context(), bus, 1))
		require.ErrorIs(t, text.Publish(t.Context(), bus, "x"), events.ErrTopicConflict)
		require.Equal(t, []string{"ran"}, j.take(), "no handler has got the event")
	})

	t.Run("a topic on many buses at once", func(t *testing.T) {
		one, two := events.New(), events.New()
		var got []string
		handle(t, one, number, func(_ context.Context, n int) error { got = append(got, fmt.Sprint("one ", n)); return nil })
		handle(t, two, number, func(_ context.Context, n int) error { got = append(got, fmt.Sprint("two ", n)); return nil })
		for i := range 2 {
			require.NoError(t, number.Publish(t.Context(), one, i))
			require.NoError(t, number.Publish(t.Context(), two, i))
		}
		require.Equal(t, []string{"one 0", "two 0", "one 1", "two 1"}, got)
		require.NoError(t, one.Close(t.Context()))
		require.ErrorIs(t, number.Publish(t.Context(), one, 1), events.ErrClosed)
		require.NoError(t, number.Publish(t.Context(), two, 2))
	})
}

type chain struct {
	Value int    `json:"value"`
	Next  *chain `json:"next"`
	List  []list `json:"list"`
}

type list []list

// TestPayloadCycles runs in a process of its own, since a stack that overflows
// is not a panic that can be recovered.
func TestPayloadCycles(t *testing.T) {
	const child = "EVENTS_TEST_CYCLE"
	ring := fields{"value": 1}
	ring["next"] = ring
	loop := []any{nil}
	loop[0] = loop
	var self any
	self = &self
	data := map[string]fields{
		"map": ring, "slice": {"list": loop}, "pointer": {"value": self},
	}
	if which := os.Getenv(child); which != "" {
		debug.SetMaxStack(16 << 20) // overflows in no time
		misfits[chain](t, data[which])
		return
	}
	for which := range data {
		t.Run(which, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPayloadCycles$")
			command.Env = append(os.Environ(), child+"="+which)
			output, err := command.CombinedOutput()
			require.NoError(t, err, "%.300s", output)
		})
	}
}
