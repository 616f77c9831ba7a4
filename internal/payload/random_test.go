package payload_test

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRandomMapsReadAsJSONDoes makes texts that fit, or nearly so.
func TestRandomMapsReadAsJSONDoes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := writer{rand.New(rand.NewPCG(seed, 0))}
	read := 0
	for range 2000 {
		if checkText(t, w.text(reflect.TypeFor[everything](), 0)) {
			read++
		}
	}
	require.Greater(t, read, 400, "enough of them fit")
}

// writer writes random JSON texts for types.
type writer struct{ *rand.Rand }

func (w writer) text(t reflect.Type, depth int) string {
	if w.IntN(300) == 0 {
		return w.pick(`null`, `true`, `"x"`, `7`, `7.5`, `-1`, `1e3`, `300`, `{}`, `[]`, `[1]`, `{"x":1}`, `"7"`, `"null"`, `1e400`, `"AQID"`)
	}
	switch t.Kind() {
	case reflect.Bool:
		return w.pick(`true`, `false`)
	case reflect.String:
		if t == reflect.TypeFor[json.Number]() {
			return w.pick(`7`, `"7"`, `1.50`, `"-1e3"`)
		}
		return w.pick(`""`, `"x"`, `"good"`, `"7"`, `"ü"`, `"\""`, `"<&>"`)
	case reflect.Float32, reflect.Float64:
		return w.pick(`0`, `1.5`, `-1e-7`, `1e10`, fmt.Sprint(w.Float32()), `16777217`)
	case reflect.Pointer:
		if w.IntN(4) == 0 {
			return `null`
		}
		return w.text(t.Elem(), depth)
	case reflect.Slice, reflect.Array:
		length := w.IntN(3)
		if t.Kind() == reflect.Array {
			length = t.Len()
		} else if t.Elem().Kind() == reflect.Uint8 && w.IntN(2) == 0 {
			return w.pick(`""`, `"aGVsbG8="`, `"AQID"`)
		}
		var elements []string
		for range length {
			elements = append(elements, w.text(t.Elem(), depth+1))
		}
		return "[" + strings.Join(elements, ",") + "]"
	case reflect.Map:
		var entries []string
		for range w.IntN(3) {
			key := w.pick(`"x"`, `"y"`)
			if kind := t.Key().Kind(); kind != reflect.String {
				key = w.pick(`"1"`, `"100"`, `"01"`)
			}
			if reflect.PointerTo(t.Key()).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
				key = w.pick(`"good"`, `"2026-02-03T04:05:06Z"`)
			}
			entries = append(entries, key+":"+w.text(t.Elem(), depth+1))
		}
		return "{" + strings.Join(entries, ",") + "}"
	case reflect.Struct:
		switch t {
		case reflect.TypeFor[time.Time]():
			return w.pick(`"2026-02-03T04:05:06Z"`, `"2026-02-03T04:05:06+07:00"`)
		case reflect.TypeFor[netip.Addr]():
			return w.pick(`"fe80::1"`, `""`)
		case reflect.TypeFor[label]():
			return `"x"`
		case reflect.TypeFor[cents]():
			return w.pick(`{"cents":7}`, `{"CENTS":-1}`)
		}
		return w.fields(t, depth)
	case reflect.Interface:
		return w.pick(`null`, `{"x":[1,null]}`, `1.5`, `"x"`, `[]`)
	default:
		if t == reflect.TypeFor[mood]() {
			return `"good"`
		}
		if w.IntN(20) == 0 {
			return w.pick(`-1`, `1.0`, `9007199254740993`, `1e2`, `128`, `18446744073709551615`)
		}
		return w.pick(`0`, `1`, `100`, `127`)
	}
}

func (w writer) fields(t reflect.Type, depth int) string {
	var entries []string
	for _, f := range jsonFields(t) {
		name := f.Name
		if w.IntN(10) > 0 && len(entries) > 0 || depth > 3 && f.Type.Kind() == reflect.Pointer {
			continue
		}
		if w.IntN(20) == 0 {
			name = strings.ToUpper(name)
		}
		text := w.text(f.Type, depth+1)
		if strings.HasSuffix(f.Tag.Get("json"), ",string") && w.IntN(8) > 0 {
			text = fmt.Sprintf("%q", text)
		}
		entries = append(entries, fmt.Sprintf("%q:%s", name, text))
	}
	// In another order the first is not always there.
	w.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	return "{" + strings.Join(entries[w.IntN(min(2, len(entries))):], ",") + "}"
}

func (w writer) pick(texts ...string) string { return texts[w.IntN(len(texts))] }
