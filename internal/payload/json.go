package payload

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

var (
	rawType    = reflect.TypeFor[json.RawMessage]()
	numberType = reflect.TypeFor[json.Number]()
	jsonReader = reflect.TypeFor[json.Unmarshaler]()
	textReader = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isSingle reports whether JSON has one token for values of the kind.
func isSingle(kind reflect.Kind) bool {
	return kind == reflect.Bool || isNumber(kind) || kind == reflect.String
}

// isBytes reports whether encoding/json has a string for values of type t.
func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

func isNull(value reflect.Value) bool {
	return !value.IsValid() ||
		value.Type() == rawType && (value.IsNil() || string(bytes.TrimSpace(value.Bytes())) == "null")
}

// fitNull leaves target nil, if it can be that. A list or map that reads itself
// may do something else.
func fitNull(target reflect.Value) error {
	switch target.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return json.Unmarshal([]byte("null"), target.Addr().Interface())
	}
	return fmt.Errorf("nothing does not fit %v", target.Type())
}

// fitByJSON has encoding/json read into target what it writes for value.
func fitByJSON(target, value reflect.Value) error {
	text, err := json.Marshal(receiver(value))
	if err == nil && string(text) == "null" {
		return fitNull(target)
	}
	if err == nil {
		err = json.Unmarshal(text, target.Addr().Interface())
	}
	if err != nil {
		return misfit(value, target, ": "+err.Error())
	}
	return nil
}

// fitParts sets target to what value writes as JSON, which encoding/json has
// only take to parts: target's fields and elements read them by the same rules.
func fitParts(target, value reflect.Value, parts any, depth int) error {
	err := fitByJSON(reflect.ValueOf(parts).Elem(), value)
	if err != nil && isBytes(target.Type()) {
		return fitByJSON(target, value) // from a string
	}
	if err != nil {
		return misfit(value, target, ": "+err.Error())
	}
	return fit(target, reflect.ValueOf(parts).Elem(), depth)
}

// writesItself reports whether encoding/json writes value by a method of it.
func writesItself(value reflect.Value) bool {
	_, writesJSON := receiver(value).(json.Marshaler)
	_, writesText := receiver(value).(encoding.TextMarshaler)
	return writesJSON || writesText
}

// receiver returns value with all its methods.
func receiver(value reflect.Value) any {
	if value.CanAddr() {
		value = value.Addr()
	}
	return value.Interface()
}

// numeral spells a number in JSON, in full if it is whole: a float64 does not
// tell 7.0 from 7, and encoding/json reads no integer from 1e21.
func numeral(value reflect.Value) string {
	switch {
	case value.CanInt():
		return strconv.FormatInt(value.Int(), 10)
	case value.CanUint():
		return strconv.FormatUint(value.Uint(), 10)
	case value.CanFloat() && value.Float() == math.Trunc(value.Float()):
		return strconv.FormatFloat(value.Float(), 'f', 0, 64)
	case value.CanFloat():
		return strconv.FormatFloat(value.Float(), 'f', -1, 64)
	}
	return value.String() // a json.Number
}

// unquote returns the JSON in a string, if f has the option "string". A string
// in which encoding/json would not have put JSON is a plain value of Go, as is
// what is no string.
func (f field) unquote(value reflect.Value) reflect.Value {
	var text string
	if f.quoted == reflect.Invalid || fit(reflect.ValueOf(&text).Elem(), value, 0) != nil || !json.Valid([]byte(text)) ||
		f.quoted == reflect.String && text != "null" && !strings.HasPrefix(text, `"`) {
		return value
	}
	return reflect.ValueOf(json.RawMessage(text))
}

// keyAs returns a map's key as one of type t, which encoding/json reads from a
// string although it may write values of that type as something else.
func keyAs(t reflect.Type, key reflect.Value) (reflect.Value, error) {
	areStrings := key.Kind() == reflect.String && t.Kind() == reflect.String
	if key.Type().AssignableTo(t) || areStrings && !reflect.PointerTo(t).Implements(textReader) {
		return key.Convert(t), nil
	}
	flag := reflect.ValueOf(true)
	source := reflect.MakeMap(reflect.MapOf(key.Type(), flag.Type()))
	source.SetMapIndex(key, flag)
	keys := reflect.New(reflect.MapOf(t, flag.Type())).Elem()
	if fitByJSON(keys, source) != nil {
		return key, fmt.Errorf("%v does not fit %v", key.Type(), t)
	}
	return keys.MapKeys()[0], nil
}
