package payload_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/payload"
)

type object = map[string]any

type account struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

func (a account) Shout() string { return a.Name + "!" }

type shouter interface{ Shout() string }

type (
	named    map[string]any
	pointer  *account
	mistaken error
)

// cents reads and writes itself as an object.
type cents struct{ n int64 }

func (c *cents) UnmarshalJSON(text []byte) error {
	var object struct{ Cents *int64 }
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	if object.Cents == nil {
		return errors.New("no cents")
	}
	c.n = *object.Cents
	return nil
}

func (c cents) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `{"cents":%d}`, c.n), nil }

// set reads itself from the keys of an object, and from null that it is empty.
type set map[string]bool

func (s *set) UnmarshalJSON(text []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	*s = set{}
	for key := range object {
		(*s)[key] = true
	}
	return nil
}

// counted reads itself by a method of the value.
type counted struct{}

var countedReads int

func (counted) UnmarshalJSON([]byte) error {
	countedReads++
	return nil
}

// label reads itself from a text only.
type label struct{ Text string }

func (l *label) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("empty label")
	}
	l.Text = "<" + string(text) + ">"
	return nil
}

// as reads data as a T, and checks that the result is one.
func as[T any](t *testing.T, data any) (T, error) {
	t.Helper()
	var zero T
	got, err := payload.As(data, reflect.TypeFor[T]())
	if err != nil {
		require.IsType(t, &payload.Misfit{}, err)
		require.Nil(t, got)
		return zero, err
	}
	if got == nil {
		require.Equal(t, reflect.Interface, reflect.TypeFor[T]().Kind())
		return zero, nil
	}
	require.Implements(t, (*any)(nil), got)
	result, ok := got.(T)
	require.True(t, ok, "%T is no %v", got, reflect.TypeFor[T]())
	return result, nil
}

func reads[T any](t *testing.T, data any, want T) {
	t.Helper()
	got, err := as[T](t, data)
	require.NoError(t, err, "%#v", data)
	require.Equal(t, want, got)
}

func misfits[T any](t *testing.T, data any, reason string) {
	t.Helper()
	got, err := as[T](t, data)
	require.Error(t, err, "%#v was read as %#v", data, got)
	if reason == "" {
		require.Empty(t, err.Error())
	}
	require.ErrorContains(t, err, reason)
}

func TestAs(t *testing.T) {
	ada := account{1, "Ada"}
	failure := errors.New("failure")
	t.Run("what it is", func(t *testing.T) {
		reads(t, ada, ada)
		reads(t, 7, 7)
		reads(t, []int{1}, []int{1})
		reads(t, (*account)(nil), (*account)(nil))
		reads(t, object(nil), object(nil))
		got, err := as[*account](t, &ada)
		require.NoError(t, err)
		require.Same(t, &ada, got)
	})
	t.Run("what Go would assign", func(t *testing.T) {
		reads(t, object{"id": 1}, named{"id": 1})
		reads(t, named{"id": 1}, object{"id": 1})
		reads(t, &ada, pointer(&ada))
	})
	t.Run("interfaces", func(t *testing.T) {
		reads[shouter](t, ada, ada)
		reads[shouter](t, &ada, &ada)
		reads[shouter](t, nil, nil)
		reads[any](t, nil, nil)
		reads[mistaken](t, failure, failure)
		reads(t, &failure, failure)
		misfits[shouter](t, 7, "")
		misfits[shouter](t, object{"id": 1}, "")
	})
	t.Run("what a pointer points to", func(t *testing.T) {
		reads(t, &ada, ada)
		seven := 7
		reads(t, &seven, 7)
		misfits[account](t, (*account)(nil), "the pointer is nil")
		misfits[account](t, new(any), "")
		misfits[account](t, &object{"id": 1}, "")
	})
	t.Run("a pointer to a copy", func(t *testing.T) {
		reads(t, ada, &ada)
		reads(t, ada, pointer(&ada))
		got, err := as[*account](t, ada)
		require.NoError(t, err)
		require.NotSame(t, &ada, got)
	})
	t.Run("a map", func(t *testing.T) {
		reads(t, object{"id": 1, "name": "Ada"}, ada)
		reads(t, object{"id": 1, "name": "Ada"}, &ada)
		reads(t, object{"id": 1, "name": "Ada"}, pointer(&ada))
		reads(t, named{"id": 1, "name": "Ada"}, ada)
		reads(t, map[string]int{"id": 1}, account{ID: 1})
		reads(t, map[mistyped]any{"id": 1}, account{ID: 1})
		reads(t, map[string]json.RawMessage{"id": json.RawMessage("1")}, account{ID: 1})
	})
	t.Run("a map for what reads itself", func(t *testing.T) {
		reads(t, object{"cents": 12}, cents{12})
		reads(t, object{"cents": 12}, &cents{12})
		reads(t, map[string]json.RawMessage{"cents": json.RawMessage("12")}, cents{12})
		reads(t, object{"a": 1, "b": nil}, json.RawMessage(`{"a":1,"b":null}`))
		reads(t, object{"a": 1, "b": nil}, set{"a": true, "b": true})
		reads(t, object{"a": 1}, &set{"a": true})
		before := countedReads
		reads(t, object{"a": 1}, counted{})
		require.Equal(t, 1, countedReads-before)
		reads(t, object{"Text": "x"}, label{"x"}) // an object is not the text that it reads itself from
		misfits[cents](t, object{"dollars": 1}, "no cents")
		misfits[cents](t, object(nil), "does not fit")
		misfits[time.Time](t, object{"wall": 7}, "does not fit")
	})
	t.Run("anything else", func(t *testing.T) {
		misfits[account](t, nil, "")
		misfits[*account](t, nil, "")
		misfits[object](t, nil, "")
		misfits[account](t, struct{ ID int }{1}, "")
		misfits[account](t, func() {}, "")
		misfits[account](t, map[int]any{1: 1}, "")
		misfits[account](t, json.RawMessage(`{"id":1}`), "")
		misfits[[]byte](t, json.RawMessage(`"aGVsbG8="`), "")
		misfits[object](t, map[string]int{"id": 1}, "")
		misfits[object](t, ada, "")
		misfits[int](t, int64(7), "")
		misfits[int](t, "7", "")
		misfits[[]int](t, []any{1}, "")
		misfits[**account](t, object{"id": 1}, "")
	})
}

type mistyped string

func TestStructOf(t *testing.T) {
	want := reflect.TypeFor[account]()
	require.Equal(t, want, payload.StructOf(want))
	require.Equal(t, want, payload.StructOf(reflect.TypeFor[*account]()))
	require.Nil(t, payload.StructOf(reflect.TypeFor[**account]()))
	require.Nil(t, payload.StructOf(reflect.TypeFor[any]()))
	require.Nil(t, payload.StructOf(reflect.TypeOf(nil)))
}

func TestCyclesEnd(t *testing.T) {
	type list []list
	type chain struct {
		Value int
		Next  *chain
		List  []list
		Price cents
	}
	ring := object{"Value": 1}
	ring["Next"] = ring
	loop := []any{nil}
	loop[0] = loop
	var self any
	self = &self
	for name, data := range map[string]object{
		"map": ring, "list": {"List": loop}, "pointer": {"Value": self},
	} {
		t.Run(name, func(t *testing.T) { misfits[chain](t, data, "nested more than 100 deep") })
	}
	t.Run("by its own method", func(t *testing.T) {
		misfits[chain](t, object{"Price": ring}, "cycle")
	})
	t.Run("pointer type", func(t *testing.T) {
		type infinite *infinite
		misfits[struct{ P infinite }](t, object{"P": 1}, "nested more than 100 deep")
	})
}

func BenchmarkAs(b *testing.B) {
	var data object
	text := `{"id":7,"name":"Ada","score":1.5,"at":"2026-02-03T04:05:06Z","home":{"id":1},"tags":["a","b","c"],"unknown":1}`
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		b.Fatal(err)
	}
	type user struct {
		ID    int       `json:"id"`
		Name  string    `json:"name"`
		Score float64   `json:"score"`
		At    time.Time `json:"at"`
		Home  *account  `json:"home"`
		Tags  []string  `json:"tags"`
	}
	b.Run("map", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := payload.As(data, reflect.TypeFor[user]()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("JSON there and back, for comparison", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var u user
			text, err := json.Marshal(data)
			if err := errors.Join(err, json.Unmarshal(text, &u)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
