package payload_test

import (
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"
)

// TestMapsOfGo has values as Go code puts them into maps.
func TestMapsOfGo(t *testing.T) {
	nick, count, seven := "ace", new(int), 7
	day := time.Date(2026, 2, 3, 4, 5, 6, 0, time.Local)
	home, failure := account{1, "Ada"}, errors.New("failure")
	zone := netip.MustParseAddr("fe80::1")
	for name, test := range map[string]struct {
		data any
		want everything
	}{
		"same type":                {object{"name": "Ada", "at": day, "wait": time.Second, "home": home, "failure": failure}, everything{Name: "Ada", At: day, Wait: time.Second, Home: home, Failure: failure}},
		"embedded by its own name": {object{"base": 1, "Outer": object{"tenant": 1}}, everything{base: base{Base: 1}}},
		"unknown keys beside":      {object{"name": "Ada", "unknown": 1}, everything{Name: "Ada"}},
		"the exact case wins":      {object{"NAME": "no", "name": "Ada", "nAME": 7}, everything{Name: "Ada"}},
		"embedded":                 {object{"base": 7, "tenant": "t", "left": object{"left_id": 1}}, everything{base: base{Base: 7}, Outer: &Outer{"t"}, left: left{1}}},
		"typed maps":               {map[mistyped]string{"name": "Ada"}, everything{Name: "Ada"}},
		"named string":             {object{"name": mistyped("Ada"), "mistype": "Ada"}, everything{Name: "Ada", Mistype: "Ada"}},
		"broken text is kept":      {object{"mistype": "\xff"}, everything{Mistype: "\xff"}},
		"bools":                    {object{"ok": flag(true), "flag": true}, everything{OK: true, Flag: true}},
		"zero values are values":   {object{"name": "", "int": 0}, everything{}},
		"nil for what can be":      {object{"work": nil, "tags": nil, "by_int": nil, "any": nil, "failure": nil, "raw_ptr": nil}, everything{}},
		"nil list and map":         {object{"tags": []any(nil), "by_name": object(nil)}, everything{}},
		"empty list and map":       {object{"tags": []any{}, "by_name": object{}}, everything{Tags: []string{}, ByName: map[string]account{}}},
		"pointers to":              {object{"nick": "ace", "work": home, "count": 0}, everything{Nick: &nick, Work: &home, Count: &count}},
		"pointers from":            {object{"name": &nick, "home": &home, "int": &seven}, everything{Name: "ace", Home: home, Int: 7}},
		"struct from a map":        {object{"home": map[string]int{"id": 1}}, everything{Home: account{ID: 1}}},
		"list":                     {object{"tags": []any{"a", "b"}, "older": []any{object{"id": 1}, home}}, everything{Tags: []string{"a", "b"}, Older: []account{{ID: 1}, home}}},
		"array":                    {object{"pair": []any{1, 2.0}, "matrix": [1][2]int{{1, 2}}}, everything{Pair: [2]int{1, 2}, Matrix: [][]int{{1, 2}}}},
		"bytes by numbers":         {object{"body": []any{1.0, 2}, "four": []byte("1234")}, everything{Body: []byte{1, 2}, Four: [4]byte{'1', '2', '3', '4'}}},
		"bytes as they are":        {object{"body": bytes("hi"), "bytes": []byte("hi")}, everything{Body: []byte("hi"), Bytes: bytes("hi")}},
		"map":                      {object{"by_name": object{"a": home, "b": object{"id": 1}}}, everything{ByName: map[string]account{"a": home, "b": {ID: 1}}}},
		"number keys":              {object{"by_int": object{"-7": "x"}, "by_uint": map[int]int{7: 7}}, everything{ByInt: map[int8]string{-7: "x"}, ByUint: map[uint]*int{7: &seven}}},
		"keys as they are":         {object{"by_label": map[label]any{{"x"}: true}}, everything{ByLabel: map[label]bool{{"x"}: true}}},
		"keys of all kinds":        {object{"by_word": map[int]any{1: 7}, "by_uint": map[int8]any{7: nil}, "by_label": object{"x": true}}, everything{ByWord: map[mistyped]int{"1": 7}, ByUint: map[uint]*int{7: nil}, ByLabel: map[label]bool{{"<x>"}: true}}},
		"keys that write":          {object{"by_word": map[mood]int{1: 7}}, everything{ByWord: map[mistyped]int{"good": 7}}},
		"any takes all":            {object{"any": object{"x": []int{1}}}, everything{Any: object{"x": []int{1}}}},
		"what reads itself":        {object{"raw": object{"x": 1}, "price": object{"cents": 7}, "addr": "fe80::1", "mood": "good"}, everything{Raw: json.RawMessage(`{"x":1}`), Price: cents{7}, Addr: zone, Mood: 1}},
		"fields of a text reader":  {object{"label": object{"Text": "x"}}, everything{Label: label{"x"}}},
		"what writes itself":       {object{"name": zone, "tags": []any{mood(2)}, "any": mood(1), "mistype": &zone}, everything{Name: "fe80::1", Tags: []string{"bad"}, Any: mood(1), Mistype: "fe80::1"}},
		"number that is a text":    {object{"int": mood(2)}, everything{Int: 2}},
		"string option, plain":     {object{"q_int": 7, "q_uint": 7.0, "q_float": 7, "q_bool": true, "q_string": "x", "q_mood": "good"}, everything{QInt: 7, QUint: 7, QFloat: 7, QBool: true, QString: "x", QMood: 1}},
		"string option, pointer":   {object{"q_pointer": &nick, "q_level": level(7), "q_int": &seven}, everything{QPointer: &nick, QLevel: new(level(7)), QInt: 7}},
		"string option, quoted":    {object{"q_int": mistyped("7"), "q_string": `"x"`, "q_pointer": `"\"x"`}, everything{QInt: 7, QString: "x", QPointer: new(`"x`)}},
		"string option, numeral":   {object{"q_string": "7"}, everything{QString: "7"}},
	} {
		t.Run(name, func(t *testing.T) {
			reads(t, test.data, test.want)
			reads(t, test.data, &test.want)
		})
	}
}

func TestMapsThatMisfit(t *testing.T) {
	for name, test := range map[string]struct {
		data   any
		reason string
	}{
		"empty":                   {object{}, "no key names a field of payload_test.everything"},
		"nil map":                 {object(nil), "no key names a field"},
		"only unknown keys":       {object{"unknown": 1}, "no key names a field"},
		"7.5":                     {object{"int": 7.5}, `key "int": float64 does not fit int: 7.5 is out of its range`},
		"string":                  {object{"int": "7"}, `key "int": string does not fit int`},
		"string in an int64":      {object{"q_int": "seven"}, `key "q_int": string does not fit int64`},
		"no JSON in a string":     {object{"q_int": "007"}, `key "q_int": string does not fit int64`},
		"empty string":            {object{"q_int": ""}, `key "q_int": string does not fit int64`},
		"bool in a string":        {object{"q_bool": "7"}, `key "q_bool": json.RawMessage does not fit bool`},
		"null in a string":        {object{"q_string": "null"}, `key "q_string": nothing does not fit string`},
		"quoted but not quoted":   {object{"int": `"7"`}, `key "int": string does not fit int`},
		"int for a string":        {object{"name": 7}, `key "name": int does not fit string`},
		"bool for an int":         {object{"int": true}, `key "int": bool does not fit int`},
		"nil for an int":          {object{"int": nil}, `key "int": nothing does not fit int`},
		"nil for a struct":        {object{"home": nil}, `key "home": nothing does not fit`},
		"nil for what reads":      {object{"at": nil}, `key "at": nothing does not fit time.Time`},
		"nil pointer":             {object{"name": (*string)(nil)}, `key "name": *string does not fit string: the pointer is nil`},
		"nil map for a struct":    {object{"home": object(nil)}, `key "home": no key names a field`},
		"nested":                  {object{"home": object{"name": 7}}, `key "home": key "name": int does not fit string`},
		"nested unknown":          {object{"work": object{"x": 7}}, `key "work": no key names a field`},
		"element":                 {object{"tags": []any{"a", 7}}, `key "tags": element 1: int does not fit string`},
		"element nil":             {object{"tags": []any{nil}}, `key "tags": element 0: nothing`},
		"entry":                   {object{"by_word": object{"a": "x"}}, `key "by_word": key "a": string does not fit int`},
		"too long":                {object{"pair": []int{1, 2, 3}}, `key "pair": []int does not fit [2]int`},
		"too short":               {object{"pair": []int{1}}, `key "pair": []int does not fit [2]int`},
		"key out of range":        {object{"by_int": object{"300": "x"}}, `key "by_int": key "300": string does not fit int8`},
		"key is no number":        {object{"by_uint": object{"1.0": 1}}, `key "by_uint": key "1.0": string does not fit uint`},
		"key does not read":       {object{"by_label": object{"": true}}, `key "by_label": key "": string does not fit payload_test.label`},
		"key twice":               {object{"by_int": object{"1": "x", "01": "x"}}, `keys of map[string]interface {} are the same as int8`},
		"map of numbers":          {object{"home": map[int]string{1: "x"}}, `key "home": map[int]string does not fit payload_test.account`},
		"bytes for a string":      {object{"name": []byte("Ada")}, `key "name": []uint8 does not fit string`},
		"text for bytes":          {object{"body": "!"}, `key "body": string does not fit []uint8: illegal base64`},
		"text for an array":       {object{"four": "AAAAAA=="}, `key "four": string does not fit [4]uint8`},
		"another struct":          {object{"home": struct{ X int }{1}}, `key "home": struct { X int } does not fit payload_test.account`},
		"struct for a map":        {object{"by_name": account{}}, `key "by_name": payload_test.account does not fit map`},
		"channel":                 {object{"name": make(chan int)}, `key "name": chan int does not fit string`},
		"function, by its JSON":   {object{"price": func() {}}, `key "price": func() does not fit payload_test.cents: json: unsupported type`},
		"no time":                 {object{"at": "yesterday"}, `key "at": string does not fit time.Time: parsing time`},
		"a number is no text":     {object{"mood": 7}, `key "mood": int does not fit payload_test.mood`},
		"what its method refuses": {object{"price": object{}}, `key "price": map[string]interface {} does not fit payload_test.cents: no cents`},
		"interface":               {object{"failure": "text"}, `key "failure": string does not fit error`},
		"interface, by JSON":      {object{"failure": time.Now()}, `key "failure": time.Time does not fit error: json: cannot unmarshal string into`},
		"raw for an interface":    {object{"failure": json.RawMessage(`"x"`)}, `key "failure": json.RawMessage does not fit error`},
		"raw that is broken":      {object{"home": json.RawMessage(`{`)}, `unexpected end`},
		"raw that is empty":       {object{"home": json.RawMessage{}}, `unexpected end`},
		"raw that is null":        {object{"home": json.RawMessage(" null ")}, `key "home": nothing does not fit`},
		"raw that misfits":        {object{"home": json.RawMessage(`{"id":"x"}`)}, `key "home": key "id": json.RawMessage does not fit int: json: cannot unmarshal string`},
		"raw bytes with a null":   {object{"body": json.RawMessage(`[1,null]`)}, `key "body": element 1: nothing does not fit uint8`},
		"number for a string":     {object{"name": json.Number("7")}, `key "name": json.Number does not fit string`},
		"number for a bool":       {object{"ok": json.Number("7")}, `key "ok": json.Number does not fit bool`},
		"text for a number":       {object{"number": "x"}, `key "number": string does not fit json.Number: json: invalid number`},
	} {
		t.Run(name, func(t *testing.T) {
			misfits[everything](t, test.data, test.reason)
			misfits[*everything](t, test.data, test.reason)
		})
	}
	t.Run("embedded pointer that is not exported", func(t *testing.T) {
		misfits[struct{ *left }](t, object{"left_id": 1}, `key "left_id": embedded *payload_test.left is not exported`)
		misfits[struct {
			*left `json:"left"`
		}](t, object{"left": object{"left_id": 1}}, `key "left": embedded *payload_test.left is not exported`)
		misfits[hidden](t, object{"left": left{1}}, `key "left": payload_test.left does not fit payload_test.left`)
	})
}

func TestNumbers(t *testing.T) {
	type numbers struct {
		Int     int
		Int8    int8
		Int64   int64
		Uint8   uint8
		Uint64  uint64
		Uintptr uintptr
		Float32 float32
		Float64 float64
		Level   level
		Number  json.Number
	}
	for name, test := range map[string]struct {
		data object
		want numbers
	}{
		"7.0 is an int":     {object{"Int": 7.0, "Uint8": float32(255), "Int8": -128.0}, numbers{Int: 7, Uint8: 255, Int8: -128}},
		"ints of any size":  {object{"Int": int64(7), "Int8": uint(5), "Int64": int8(-1), "Uint64": 7, "Uintptr": uint8(7)}, numbers{Int: 7, Int8: 5, Int64: -1, Uint64: 7, Uintptr: 7}},
		"from 2^53 on":      {object{"Int64": level(math.MinInt32), "Uint64": int64(1<<53 + 1)}, numbers{Int64: math.MinInt32, Uint64: 1<<53 + 1}},
		"the largest":       {object{"Int64": uint64(math.MaxInt64), "Uint64": uint64(math.MaxUint64)}, numbers{Int64: math.MaxInt64, Uint64: math.MaxUint64}},
		"large floats":      {object{"Int64": -0x1p63, "Uint64": 0x1p63}, numbers{Int64: math.MinInt64, Uint64: 1 << 63}},
		"negative zero":     {object{"Int": math.Copysign(0, -1)}, numbers{}},
		"an int is a float": {object{"Float32": 7, "Float64": uint64(math.MaxUint64)}, numbers{Float32: 7, Float64: math.MaxUint64}},
		"named":             {object{"Level": 7, "Int": level(7)}, numbers{Level: 7, Int: 7}},
		"json.Number":       {object{"Int64": json.Number("9007199254740993"), "Uint64": json.Number("18446744073709551615"), "Float32": json.Number("2.5"), "Number": json.Number("1e400")}, numbers{Int64: 1<<53 + 1, Uint64: math.MaxUint64, Float32: 2.5, Number: "1e400"}},
		"to json.Number":    {object{"Number": 7.5}, numbers{Number: "7.5"}},
		"text json.Number":  {object{"Number": "7"}, numbers{Number: "7"}},
	} {
		t.Run(name, func(t *testing.T) { reads(t, test.data, test.want) })
	}
	for name, value := range map[string]object{
		"fraction":                {"Int": 7.5},
		"300":                     {"Uint8": 300},
		"-0.0":                    {"Uint8": math.Copysign(0, -1)},
		"300.0":                   {"Uint8": 300.0},
		"-1":                      {"Uint64": -1},
		"-1.0":                    {"Uintptr": -1.0},
		"128":                     {"Int8": 128},
		"2^63":                    {"Int64": uint64(1 << 63)},
		"2^63 as a float":         {"Int64": 0x1p63},
		"below -2^63":             {"Int64": -0x1.0000000000001p63},
		"2^64":                    {"Uint64": 0x1p64},
		"1e300":                   {"Int64": 1e300},
		"1e300 as a float32":      {"Float32": 1e300},
		"NaN":                     {"Int": math.NaN()},
		"infinity":                {"Int64": math.Inf(-1)},
		"Number too large":        {"Int8": json.Number("128")},
		"Number not whole":        {"Int": json.Number("7.5")},
		"Number 7.0":              {"Int": json.Number("7.0")},
		"NaN, another float":      {"Float32": math.NaN()},
		"infinity, another float": {"Float32": math.Inf(1)},
		"Number not exact":        {"Int64": json.Number("9007199254740993.0")},
		"Number no float64":       {"Float64": json.Number("1e400")},
		"Number no float32":       {"Float32": json.Number("1e300")},
		"Number negative":         {"Uint8": json.Number("-1")},
		"Number is no number":     {"Int": json.Number("x")},
	} {
		t.Run(name, func(t *testing.T) { misfits[numbers](t, value, "is out of its range") })
	}
}
