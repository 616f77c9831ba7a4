package events_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/typedbus/events"
)

// The fields of parcel are those whose rule fitting states; the fuzz test
// compares what the bus makes of random maps with that.
type (
	parcel struct {
		ID     int               `json:"id"`
		Size   uint8             `json:"size"`
		Weight float64           `json:"weight"`
		Name   string            `json:"name"`
		Paid   bool              `json:"paid"`
		At     time.Time         `json:"at"`
		Note   *string           `json:"note"`
		Codes  []int             `json:"codes"`
		Counts map[string]int    `json:"counts"`
		To     place             `json:"to"`
		Via    *place            `json:"via"`
		Stops  []place           `json:"stops"`
		Extra  any               `json:"extra"`
		Labels map[string]string `json:"labels"`
		stamp
	}
	place struct {
		City string `json:"city"`
		No   int    `json:"no"`
	}
	stamp struct {
		Stamp int8 `json:"stamp"`
	}
)

// fitting returns value as target's type, or reports that it does not fit. It
// states the rule for the types of parcel, one by one and without JSON.
func fitting(value any, target reflect.Type) (reflect.Value, bool) {
	result := reflect.New(target).Elem()
	if target.Kind() == reflect.Interface {
		if value != nil {
			result.Set(reflect.ValueOf(value))
		}
		return result, true
	}
	if value == nil {
		return result, target.Kind() == reflect.Pointer || target.Kind() == reflect.Map || target.Kind() == reflect.Slice
	}
	source := reflect.ValueOf(value)
	if source.Type() == target {
		return source, true
	}
	if source.Kind() == reflect.Pointer {
		if source.IsNil() {
			return result, false
		}
		return fitting(source.Elem().Interface(), target)
	}
	switch target.Kind() {
	case reflect.Pointer:
		element, ok := fitting(value, target.Elem())
		if ok {
			result.Set(reflect.New(target.Elem()))
			result.Elem().Set(element)
		}
		return result, ok

	case reflect.Int, reflect.Int8, reflect.Uint8:
		var n float64 // exact, for the numbers of the test
		switch {
		case source.CanInt():
			n = float64(source.Int())
		case source.CanUint():
			n = float64(source.Uint())
		case source.CanFloat():
			n = source.Float()
		default:
			return result, false
		}
		low, high := -math.Exp2(63), math.Exp2(63)-1024
		switch target.Kind() {
		case reflect.Int8:
			low, high = math.MinInt8, math.MaxInt8
		case reflect.Uint8:
			low, high = 0, math.MaxUint8
		}
		if n != math.Trunc(n) || n < low || n > high {
			return result, false
		}
		result.Set(reflect.ValueOf(int64(n)).Convert(target))
		return result, true

	case reflect.Float64:
		if !source.CanInt() && !source.CanUint() && !source.CanFloat() {
			return result, false
		}
		result.SetFloat(source.Convert(target).Float())
		return result, true

	case reflect.String:
		at, ok := value.(time.Time) // as it reads itself from a string
		result.SetString(at.Format(time.RFC3339Nano))
		return result, ok

	case reflect.Slice:
		if source.Kind() != reflect.Slice {
			return result, false
		}
		for i := range source.Len() {
			element, ok := fitting(source.Index(i).Interface(), target.Elem())
			if !ok {
				return result, false
			}
			result = reflect.Append(result, element)
		}
		return result, true

	case reflect.Map:
		if source.Kind() != reflect.Map || source.Type().Key() != target.Key() {
			return result, false
		}
		result.Set(reflect.MakeMap(target))
		for _, key := range source.MapKeys() {
			element, ok := fitting(source.MapIndex(key).Interface(), target.Elem())
			if !ok {
				return result, false
			}
			result.SetMapIndex(key, element)
		}
		return result, true

	case reflect.Struct:
		if target == reflect.TypeFor[time.Time]() {
			text, ok := value.(string)
			at, err := time.Parse(time.RFC3339, text)
			return reflect.ValueOf(at), ok && err == nil
		}
		if source.Kind() != reflect.Map || source.Type().Key().Kind() != reflect.String {
			return result, false
		}
		read := false
		for _, field := range reflect.VisibleFields(target) {
			value := source.MapIndex(reflect.ValueOf(field.Tag.Get("json")))
			if field.Anonymous || !value.IsValid() {
				continue
			}
			element, fits := fitting(value.Interface(), field.Type)
			if !fits {
				return result, false
			}
			result.FieldByIndex(field.Index).Set(element)
			read = true
		}
		return result, read
	}
	return result, false
}

var fuzzKeys = []string{
	"id", "size", "weight", "name", "paid", "at", "note", "codes", "counts", "to", "via", "stops", "extra", "labels", "stamp",
	"city", "no", "unknown", "", "i d", "parcel", "id.",
}

// value decodes a value as it may stand in a map.
func (t *tape) value(depth int) any {
	kinds := 20
	if depth > 2 {
		kinds = 16 // no more containers
	}
	switch t.below(kinds) {
	case 0:
		return t.below(256)
	case 1:
		return -t.below(256)
	case 2:
		return float64(t.below(256))
	case 3:
		return float64(t.below(256)) + 0.5
	case 4:
		return fmt.Sprint(t.below(10))
	case 5:
		return "2026-02-03T04:05:06Z"
	case 6:
		return t.below(2) == 1
	case 7:
		return nil
	case 8:
		return int64(1) << t.below(62)
	case 9:
		return math.Ldexp(1, t.below(256))
	case 10:
		return uint16(t.below(256) * 256)
	case 11:
		n := t.below(256)
		return &n
	case 12:
		return (*string)(nil)
	case 13:
		return place{City: "Lisbon", No: t.below(256)}
	case 14:
		return struct{ X bool }{}
	case 15:
		return time.Unix(int64(t.below(256)), 0).UTC()
	case 16:
		return t.fields(depth + 1)
	case 17:
		values := []any{}
		for range t.below(4) {
			values = append(values, t.value(depth+1))
		}
		return values
	case 18:
		return map[string]int{fuzzKeys[t.below(len(fuzzKeys))]: t.below(256)}
	default:
		return []string{"a", "b"}[:t.below(3)]
	}
}

func (t *tape) fields(depth int) fields {
	data := make(fields)
	for range t.below(5) {
		data[fuzzKeys[t.below(len(fuzzKeys))]] = t.value(depth)
	}
	return data
}

// checkMap compares what a typed handler gets of a map with the rule.
func checkMap(t *testing.T, script []byte, origin string) {
	t.Helper()
	decode := tape(script)
	data := decode.fields(0)
	for len(decode) > 0 && len(data) < 8 {
		data[fuzzKeys[decode.below(len(fuzzKeys))]] = decode.value(0)
	}
	want, fits := fitting(data, reflect.TypeFor[parcel]())

	bus := events.New()
	var got *parcel
	if _, err := events.NewTopic[parcel]("parcel").Subscribe(bus, func(_ context.Context, p parcel) error { got = &p; return nil }); err != nil {
		t.Fatal(err)
	}
	err := bus.Dispatch(context.Background(), events.Event{Name: "parcel", Data: data})
	mismatch, _ := errors.AsType[*events.PayloadError](err)
	switch {
	case (err == nil) != (got != nil), err != nil && mismatch == nil:
		t.Fatalf("%s%#v gave %v, and %+v was delivered", origin, data, err, got)
	case fits && err != nil:
		t.Fatalf("%s%#v fits, but gave %v", origin, data, err)
	case !fits && err == nil:
		t.Fatalf("%s%#v does not fit, but was delivered as %+v", origin, data, *got)
	case fits && !same(reflect.ValueOf(*got), want):
		t.Fatalf("%s%#v was delivered as\n%+v, want\n%+v", origin, data, *got, want.Interface())
	}
}

// same is reflect.DeepEqual for which no slice is like an empty one.
func same(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Struct:
		if a.Type() == reflect.TypeFor[time.Time]() {
			return a.Interface().(time.Time).Equal(b.Interface().(time.Time))
		}
		for _, field := range reflect.VisibleFields(a.Type()) {
			if field.IsExported() && !same(a.FieldByIndex(field.Index), b.FieldByIndex(field.Index)) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// TestMapsAgreeWithRule checks random maps; FuzzMapPayload looks for them.
func TestMapsAgreeWithRule(t *testing.T) {
	maps := 20_000
	if testing.Short() || raceEnabled {
		maps = 2_000
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range maps {
		script := make([]byte, random.IntN(60))
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		checkMap(t, script, fmt.Sprintf("seed %d, script %#v: ", seed, script))
	}
}

func FuzzMapPayload(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 7})                      // id: 7
	f.Add([]byte{2, 0, 2, 7, 1, 8, 40})            // id: 7.0, size: 1<<40
	f.Add([]byte{1, 9, 16, 1, 15, 0, 3})           // to: {city: 3}
	f.Add([]byte{1, 7, 17, 3, 0, 1, 2, 2, 7})      // codes: [1, 2.0, nil]
	f.Add([]byte{2, 8, 18, 0, 1, 5, 5, 16, 14, 3}) // counts, at
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 500 {
			t.Skip("long maps find nothing that short ones do not")
		}
		checkMap(t, script, "")
	})
}
