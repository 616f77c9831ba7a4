package payload

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// maxDepth is how deep the values of a map may be nested.
const maxDepth = 100

// fit sets target, which is zero, to value, by the first case that applies.
func fit(target, value reflect.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("values are nested more than %d deep", maxDepth)
	}
	if value.Kind() == reflect.Interface {
		value = value.Elem()
	}
	if isNull(value) {
		return fitNull(target)
	}
	switch from, to := value.Kind(), target.Kind(); {
	case assignable(value.Type(), target.Type()) && target.CanSet():
		target.Set(value)
		return nil

	case from == reflect.Pointer && value.IsNil():
		return misfit(value, target, ": the pointer is nil")

	case from == reflect.Pointer:
		return fit(target, value.Elem(), depth+1)

	case to == reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		return fit(target.Elem(), value, depth+1)

	case reads(target, jsonReader),
		reads(target, textReader) && !(to == reflect.Struct && hasNames(value.Type())),
		isBytes(target.Type()) && from == reflect.String,
		target.Type() == numberType && (from == reflect.String || isNumber(from)):
		return fitByJSON(target, value)

	case isNumber(to) && (isNumber(from) || value.Type() == numberType):
		if json.Unmarshal([]byte(numeral(value)), target.Addr().Interface()) != nil {
			return misfit(value, target, fmt.Sprintf(": %v is out of its range", value))
		}
		return nil

	case writesItself(value) && (to == reflect.Struct || to == reflect.Map):
		return fitParts(target, value, new(map[string]json.RawMessage), depth)

	case writesItself(value) && isList(to):
		return fitParts(target, value, new([]json.RawMessage), depth)

	case writesItself(value):
		return fitByJSON(target, value)

	case to == reflect.Struct && hasNames(value.Type()):
		return fitStruct(target, value, depth)

	case (to == reflect.Slice || to == reflect.Map) && from == to && value.IsNil():
		return nil

	case isList(from) && (to == reflect.Slice || to == reflect.Array && value.Len() == target.Len()):
		return fitElements(target, value, depth)

	case from == reflect.Map && to == reflect.Map:
		return fitEntries(target, value, depth)

	case from == to && (from == reflect.Bool || from == reflect.String && value.Type() != numberType):
		target.Set(value.Convert(target.Type()))
		return nil
	}
	return misfit(value, target, "")
}

func misfit(value, target reflect.Value, reason string) error {
	return fmt.Errorf("%v does not fit %v%s", value.Type(), target.Type(), reason)
}

// assignable is what Go says, but that a json.RawMessage is no list of bytes,
// and in an any the value that it holds.
func assignable(from, to reflect.Type) bool {
	isText := from == rawType && to != rawType && (to.Kind() != reflect.Interface || to.NumMethod() == 0)
	return from.AssignableTo(to) && !isText
}

func isList(kind reflect.Kind) bool   { return kind == reflect.Slice || kind == reflect.Array }
func isNumber(kind reflect.Kind) bool { return kind >= reflect.Int && kind <= reflect.Float64 }

// hasNames reports whether the keys of values of type t can name fields.
func hasNames(t reflect.Type) bool {
	return t.Kind() == reflect.Map && t.Key().Kind() == reflect.String
}

// reads reports whether target reads itself by a method. What cannot be set is
// an embedded struct that is not exported: it does not.
func reads(target reflect.Value, method reflect.Type) bool {
	return target.CanSet() && reflect.PointerTo(target.Type()).Implements(method)
}

// fitStruct sets the fields of target from a map by their JSON names. At least
// one key must name a field, and every value that does must fit it.
func fitStruct(target, source reflect.Value, depth int) error {
	fields := fieldsOf(target.Type())
	keys, values := make([]string, len(fields)), make([]reflect.Value, len(fields))
	for entries := source.MapRange(); entries.Next(); {
		key := entries.Key().String()
		i := find(fields, key)
		if i >= 0 && (key == fields[i].name || keys[i] != fields[i].name && key > keys[i]) {
			keys[i], values[i] = key, entries.Value()
		}
	}
	if !slices.ContainsFunc(values, reflect.Value.IsValid) {
		return fmt.Errorf("no key names a field of %v", target.Type())
	}
	for i, f := range fields {
		if !values[i].IsValid() {
			continue
		}
		place, err := reach(target, f.index)
		if err == nil {
			err = fit(place, f.unquote(values[i]), depth+1)
		}
		if err != nil {
			return fmt.Errorf("key %q: %w", f.name, err)
		}
	}
	return nil
}

// reach returns the field at index, making the embedded structs on the way.
func reach(target reflect.Value, index []int) (reflect.Value, error) {
	for _, i := range index {
		if target.Kind() == reflect.Pointer {
			if target.IsNil() {
				target.Set(reflect.New(target.Type().Elem()))
			}
			target = target.Elem()
		}
		target = target.Field(i)
		if target.Kind() == reflect.Pointer && !target.CanSet() {
			return target, fmt.Errorf("embedded %v is not exported", target.Type())
		}
	}
	return target, nil
}

func fitElements(target, elements reflect.Value, depth int) error {
	if target.Kind() == reflect.Slice {
		target.Set(reflect.MakeSlice(target.Type(), elements.Len(), elements.Len()))
	}
	for i := range elements.Len() {
		if err := fit(target.Index(i), elements.Index(i), depth+1); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}

func fitEntries(target, source reflect.Value, depth int) error {
	t := target.Type()
	target.Set(reflect.MakeMapWithSize(t, source.Len()))
	for entries := source.MapRange(); entries.Next(); {
		key, err := keyAs(t.Key(), entries.Key())
		element := reflect.New(t.Elem()).Elem()
		if err == nil {
			err = fit(element, entries.Value(), depth+1)
		}
		if err != nil {
			return fmt.Errorf("key %q: %w", fmt.Sprint(entries.Key()), err)
		}
		target.SetMapIndex(key, element)
	}
	if target.Len() < source.Len() {
		return fmt.Errorf("keys of %v are the same as %v", source.Type(), t.Key())
	}
	return nil
}
