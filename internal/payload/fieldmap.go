package payload

import "reflect"

// Fields returns the fields of a struct, or of what a pointer points to, by
// their JSON names and as the Go values that they are, in a map[string]any of
// its own. The options omitempty and omitzero leave fields out. Anything that
// is not a struct it returns as it is.
func Fields(v any) any {
	source := reflect.Indirect(reflect.ValueOf(v))
	if source.Kind() != reflect.Struct {
		return v
	}
	return mapOf(source)
}

func mapOf(source reflect.Value) map[string]any {
	result := make(map[string]any)
	for _, f := range fieldsOf(source.Type()) {
		value, err := source.FieldByIndexErr(f.index) // an error for those of an embedded nil
		if err != nil || f.omitZero && isZero(value) || f.omitEmpty && isEmpty(value) {
			continue
		}
		if value.CanInterface() {
			result[f.name] = value.Interface()
		} else if embedded := reflect.Indirect(value); embedded.IsValid() {
			result[f.name] = mapOf(embedded) // its type is not exported, but its tag has a name
		}
	}
	return result
}

// isEmpty reports what encoding/json calls empty.
func isEmpty(value reflect.Value) bool {
	switch value.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return value.Len() == 0
	}
	return value.Kind() != reflect.Struct && value.IsZero()
}

// isZero reports what Go calls zero, and what a method IsZero does.
func isZero(value reflect.Value) bool {
	if value.IsZero() || value.Kind() == reflect.Interface || !value.CanInterface() {
		return value.IsZero()
	}
	own, ok := reflect.TypeAssert[interface{ IsZero() bool }](value)
	return ok && own.IsZero()
}
