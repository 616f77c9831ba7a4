package payload_test

import (
	"cmp"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/payload"
)

var seeds = []string{
	`{"base":7,"tenant":"t","left":{"left_id":1},"name":"Ada","mistype":"x","ok":true,"flag":false}`,
	`{"int":-7,"int8":127,"int64":9007199254740993,"uint8":255,"uint64":18446744073709551615,"float32":1.5,"float64":-1e300,"level":3}`,
	`{"nick":"ace","count":7}`, `{"nick":null,"count":null,"next":null}`,
	`{"q_int":"9007199254740993","q_uint":"007","q_float":"1.5e3","q_bool":"true","q_string":"\"x\"","q_number":"1e5"}`,
	`{"q_level":"3","q_pointer":"\"x\""}`, `{"q_level":"null","q_pointer":"null","q_bool":"null"}`,
	`{"q_float":"-inf","q_int":"-0","q_string":"x","q_mood":"\"good\"","q_price":{"cents":7}}`,
	`{"body":"aGVsbG8=","bytes":"","word8s":"AQID","four":[1,2,3,4],"pair":[1,2]}`, `{"body":[1,2],"four":"AAAAAA=="}`,
	`{"number":1e400,"raw":{"b":[1,"<"],"a":null},"raw_ptr":7,"raws":[1,null,"x",{}]}`, `{"number":"12","raw":null,"raws":null}`,
	`{"at":"2026-02-03T04:05:06Z","at_ptr":"2026-02-03T04:05:06+07:00","wait":1000,"created":"2026-02-03T04:05:06.789Z"}`,
	`{"addr":"fe80::1","mood":"good","label":"x","price":{"cents":7},"prices":[{"Cents":7},null],"set":{}}`,
	`{"any":{"x":[1,2.5,null,"y",true]},"failure":null}`, `{"set":null}`,
	`{"tags":["a"],"matrix":[[1],[],[2,3]],"home":{"id":1},"work":{"name":"x"},"older":[{"id":1}]}`,
	`{"by_name":{"a":{"id":1}},"by_word":{"a":1},"by_int":{"-7":"x"},"by_uint":{"7":7,"8":null},"by_label":{"x":true}}`,
	`{"by_time":{"2026-02-03T04:05:06Z":1},"by_mood":{"good":[1]},"deep":{"a":[{"x":1},null]}}`,
	`{"next":{"next":{"int":7.0}},"others":{"x":{"ok":true},"y":null}}`,
	`{"Name":"x"}`, `{"NAME":"x","unknown":[]}`, `{"name":"a","Name":"b"}`, `{"home":{}}`, `{"pair":[1]}`, `{"by_int":{"1":"a","01":"b"}}`, `{}`,
}

// FuzzMapsReadAsJSONDoes compares what As reads from the map of a JSON object
// with what encoding/json reads from its text.
func FuzzMapsReadAsJSONDoes(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { checkText(t, text) })
}

// checkText checks the maps of text, which it has encoding/json make in three
// ways, and reports whether one was read.
func checkText(t *testing.T, text string) (read bool) {
	t.Helper()
	var numbers, floats object
	var raws map[string]json.RawMessage
	if decode(text, true, &numbers) != nil || decode(text, false, &floats) != nil || len(numbers) == 0 {
		return false
	}
	// A map has no order and no key twice, and a float64 is what it can be.
	text = encode(t, numbers)
	require.NoError(t, decode(text, true, &raws))
	read = compare(t, numbers, text, true)
	read = compare(t, raws, text, false) || read
	return compare(t, floats, encode(t, floats), false) || read
}

func compare(t *testing.T, data any, text string, useNumber bool) bool {
	t.Helper()
	var want everything
	wantErr := decode(text, useNumber, &want)
	got, err := payload.As(data, reflect.TypeOf(want))
	if err != nil {
		require.IsType(t, &payload.Misfit{}, err)
		require.NotEmpty(t, err.Error())
		require.False(t, wantErr == nil && !excepted(t, text), "%T of %s: %v", data, text, err)
		return false
	}
	if wantErr != nil {
		// In a field with the option "string" it reads plain values, too, and
		// white space around the JSON.
		wider := strings.Contains(wantErr.Error(), "invalid use of ,string") || strings.Contains(wantErr.Error(), " number ")
		require.True(t, wider || excepted(t, text), "%T of %s was read, but for encoding/json: %v", data, text, wantErr)
		return true
	}
	// What JSON writes for a float64 from 2^53 on is near to it, and not the
	// integer that it is.
	if _, isFloats := data.(object); isFloats && !useNumber && large.MatchString(text) {
		return true
	}
	if !reflect.DeepEqual(want, got) && !excepted(t, text) {
		require.Equal(t, want, got, "%T of %s", data, text)
	}
	return true
}

var large = regexp.MustCompile(`\d{16}`)

func decode(text string, useNumber bool, into any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	if useNumber {
		decoder.UseNumber()
	}
	return decoder.Decode(into)
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// excepted reports whether text has one of the forms that the package comment
// excepts.
func excepted(t *testing.T, text string) bool {
	t.Helper()
	var v any
	require.NoError(t, decode(text, true, &v))
	return exception(v, reflect.TypeFor[everything](), false, 0)
}

func exception(v any, target reflect.Type, quoted bool, depth int) bool {
	for target.Kind() == reflect.Pointer {
		if depth++; v == nil || quoted && v == "null" {
			return false
		}
		target = target.Elem()
	}
	switch {
	case depth > 100:
		return true
	case v == nil || quoted && v == "null":
		return target.Kind() != reflect.Interface && target.Kind() != reflect.Map && target.Kind() != reflect.Slice
	case reflect.PointerTo(target).Implements(reflect.TypeFor[json.Unmarshaler]()):
		return quoted
	}
	switch v := v.(type) {
	case string:
		return quoted && !json.Valid([]byte(v))
	case []any:
		if target.Kind() == reflect.Array && target.Len() != len(v) {
			return true
		}
		if target.Kind() != reflect.Array && target.Kind() != reflect.Slice {
			return false
		}
		for _, element := range v {
			if exception(element, target.Elem(), false, depth+1) {
				return true
			}
		}
	case object:
		if target.Kind() == reflect.Struct {
			return exceptedFields(v, target, depth)
		}
		if target.Kind() != reflect.Map {
			return false
		}
		keys := reflect.MakeMap(reflect.MapOf(target.Key(), reflect.TypeFor[bool]()))
		for key, element := range v {
			if json.Unmarshal(encodeKey(key), keys.Interface()) == nil && exception(element, target.Elem(), false, depth+1) {
				return true
			}
		}
		return keys.Len() < len(v)
	}
	return false
}

func encodeKey(key string) []byte {
	text, _ := json.Marshal(map[string]bool{key: true})
	return text
}

// jsonFields returns the fields of a type in which no two have one name, under
// their JSON names.
func jsonFields(t reflect.Type) (fields []reflect.StructField) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if embedded := payload.StructOf(f.Type); f.Anonymous && name == "" && embedded != nil {
			fields = append(fields, jsonFields(embedded)...)
		} else if f.IsExported() || f.Anonymous {
			f.Name = cmp.Or(name, f.Name)
			fields = append(fields, f)
		}
	}
	return fields
}

func exceptedFields(v object, target reflect.Type, depth int) bool {
	found := make(map[string]bool)
	for _, f := range jsonFields(target) {
		quoted := strings.HasSuffix(f.Tag.Get("json"), ",string")
		for key, value := range v {
			if !strings.EqualFold(key, f.Name) {
				continue
			}
			if found[f.Name] || exception(value, f.Type, quoted, depth+1) {
				return true
			}
			found[f.Name] = true
		}
	}
	return len(found) == 0
}
