package payload_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/payload"
)

// These are the rules by which encoding/json finds fields.
type (
	left struct {
		ID int `json:"left_id"`
	}
	right struct {
		ID int `json:"right_id"`
	}
	Shared struct {
		Tenant string `json:"tenant"`
	}
	plain   struct{ X string }
	special struct {
		Y string `json:"X"`
	}
	Word string

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
	marked struct { // the tagged of two as deep wins
		plain
		special
	}
	neither struct {
		plain
		Other struct{ X string } `json:"other"`
		inner
	}
	inner struct{ X string }
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
	hidden struct { // not exported, but named
		left `json:"left"`
		Name string
	}
	misnamed struct {
		A string `json:"a\"b"` //nolint:staticcheck // encoding/json ignores it
		B string `json:"b c/ü"`
		C string `json:"-,"` //nolint:staticcheck // a field named "-"
		D string `json:"-"`
	}
	word struct {
		Word
		error
		Any any
	}
	byPointer struct {
		*Shared
		Name string
	}
	Ring struct {
		*Ring
		X string
	}
)

func TestFieldNames(t *testing.T) {
	for _, data := range []object{
		{"left_id": 1, "right_id": 2},
		{"left_id": 1},
		{"LEFT_ID": 1},
		{"outer": 3, "left_id": 1},
		{"key": "x"},
		{"KEY": "x"},
		{"key": "x", "KEY": "y"},
		{"Key": "z"},
		{"Key": "z", "key": "x"},
		{"Key": "z", "KEy": "y", "kEY": "x"},
		{"\u212aey": "the sign of Kelvin"},
		{"base": object{"tenant": "t"}},
		{"a": "1", "b": "2"},
		{"tenant": "t"},
		{"X": "x"},
		{"X": "x", "other": object{"X": "y"}},
		{"left": object{"left_id": 1}},
		{`a"b`: "x", "A": "y"},
		{"b c/ü": "x"},
		{"-": "x", "D": "y"},
		{"Word": "x"},
		{"name": "x"},
	} {
		agrees[twins](t, data)
		agrees[shadow](t, data)
		agrees[shallow](t, data)
		agrees[marked](t, data)
		agrees[neither](t, data)
		agrees[cased](t, data)
		agrees[tagged](t, data)
		agrees[renamed](t, data)
		agrees[hidden](t, data)
		agrees[misnamed](t, data)
		agrees[word](t, data)
		agrees[byPointer](t, data)
		agrees[Ring](t, data)
	}
}

// agrees checks that data is read as encoding/json would, if any of its keys
// has a field.
func agrees[T any](t *testing.T, data object) {
	t.Helper()
	var want, zero T
	text, err := json.Marshal(data)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &want))
	got, err := as[T](t, data)
	if fmt.Sprintf("%#v", want) == fmt.Sprintf("%#v", zero) {
		require.ErrorContains(t, err, "no key names a field", "%v has no key of %T", data, want)
		return
	}
	require.NoError(t, err, "%v into %T", data, want)
	require.Equal(t, want, got, "%v", data)
}

// always does not agree with what Go calls zero.
type always struct{ N int }

func (always) IsZero() bool { return true }

func TestFieldsHaveTheKeysOfJSON(t *testing.T) {
	type omitting struct {
		Number  int            `json:"number,omitempty"`
		List    []int          `json:"list,omitempty"`
		Map     map[string]int `json:"map,omitempty"`
		Pair    [2]int         `json:"pair,omitempty"`
		None    [0]int         `json:"none,omitempty"`
		Struct  account        `json:"struct,omitempty"` //nolint:modernize // that it has no effect
		Pointer *int           `json:"pointer,omitempty"`
		Any     any            `json:"any,omitempty"`
		At      time.Time      `json:"at,omitzero"`
		Always  always         `json:"always,omitzero"`
		NilOne  *always        `json:"nil_one,omitzero"`
		Dynamic any            `json:"dynamic,omitzero"`
		Plain   int            `json:"plain,omitzero"`
	}
	for _, v := range []any{
		twins{left{1}, right{2}},
		shadow{left{1}, 3},
		shallow{Shared{"inner"}, "outer"},
		marked{plain{"x"}, special{"y"}},
		neither{},
		cased{"x", "y"},
		tagged{Shared{"t"}, "x"},
		renamed{"x", "y"},
		hidden{left{1}, "x"},
		struct {
			*left `json:"left"`
		}{&left{1}},
		misnamed{},
		word{Word: "x"},
		byPointer{},
		byPointer{&Shared{"t"}, "x"},
		omitting{},
		omitting{At: time.Time{}.Local(), Always: always{1}, Dynamic: always{1}, Any: (*int)(nil)},
		omitting{Number: 1, List: []int{}, Map: map[string]int{}, Pointer: new(int), NilOne: new(always), Dynamic: 0},
	} {
		var want object
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &want))
		got := payload.Fields(v).(object)
		require.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(got)), "%T: %s and %v", v, text, got)
	}
}

func TestFields(t *testing.T) {
	at := time.Now()
	type note struct {
		ID     int64 `json:"id,string"`
		At     time.Time
		Home   account
		Work   *account
		Body   []byte
		Hidden string `json:"-"`
		secret string
	}
	home := account{1, "Ada"}
	v := note{1, at, home, &home, []byte("hello"), "x", "y"}
	want := object{"id": int64(1), "At": at, "Home": home, "Work": &home, "Body": []byte("hello")}
	require.Equal(t, want, payload.Fields(v))
	require.Equal(t, want, payload.Fields(&v))
	require.Equal(t, object{"left": object{"left_id": 1}, "Name": "x"}, payload.Fields(hidden{left{1}, "x"}))

	t.Run("and back", func(t *testing.T) {
		v.Hidden, v.secret = "", ""
		reads(t, payload.Fields(v), v)
		reads(t, payload.Fields(hidden{left{1}, "x"}), hidden{left{1}, "x"})
	})
	t.Run("a map of its own each time", func(t *testing.T) {
		payload.Fields(v).(object)["mine"] = true
		require.NotContains(t, payload.Fields(v), "mine")
	})
	t.Run("what has no fields", func(t *testing.T) {
		pointer := &v
		for _, other := range []any{nil, 7, "x", (*note)(nil), &pointer, object{"a": 1}, []int{1}} {
			require.Equal(t, other, payload.Fields(other))
		}
	})
}
