package events

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// field is a struct's field under the name that encoding/json gives it.
type field struct {
	name      string
	index     []int
	tagged    bool
	omitEmpty bool
	omitZero  bool
}

// fieldsOf caches the fields of struct types, as encoding/json does.
var fieldsByType sync.Map // reflect.Type to []field

func fieldsOf(t reflect.Type) []field {
	if cached, ok := fieldsByType.Load(t); ok {
		return cached.([]field)
	}
	cached, _ := fieldsByType.LoadOrStore(t, listFields(t))
	return cached.([]field)
}

// listFields follows the rules of encoding/json: fields of untagged embedded
// structs are promoted, and of two with one name the shallower wins, then the
// tagged one, and else neither.
func listFields(t reflect.Type) []field {
	byName := make(map[string][]field)
	for _, f := range reflect.VisibleFields(t) {
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		promotes := f.Anonymous && tag == "" && structOf(f.Type) != nil
		if promotes || !f.IsExported() || f.Tag.Get("json") == "-" || hidden(t, f.Index) {
			continue
		}
		name := cmp.Or(tag, f.Name)
		flags := strings.Split(options, ",")
		byName[name] = append(byName[name], field{
			name: name, index: f.Index, tagged: tag != "",
			omitEmpty: slices.Contains(flags, "omitempty"),
			omitZero:  slices.Contains(flags, "omitzero"),
		})
	}
	var fields []field
	for _, same := range byName {
		slices.SortFunc(same, field.rank)
		if len(same) == 1 || same[0].rank(same[1]) != 0 {
			fields = append(fields, same[0])
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return fields
}

func (f field) rank(other field) int {
	if f.tagged != other.tagged && len(f.index) == len(other.index) {
		if f.tagged {
			return -1
		}
		return 1
	}
	return cmp.Compare(len(f.index), len(other.index))
}

// hidden reports whether a struct on the way to the field has a name of its
// own or is left out, so that its fields are not promoted.
func hidden(t reflect.Type, index []int) bool {
	for depth := 1; depth < len(index); depth++ {
		if tag, _, _ := strings.Cut(t.FieldByIndex(index[:depth]).Tag.Get("json"), ","); tag != "" {
			return true
		}
	}
	return false
}

// structOf returns the struct that t is or points to, or nil.
func structOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

func isMap(t reflect.Type) bool {
	return t.Kind() == reflect.Map && t.Key().Kind() == reflect.String
}

// readMap sets the fields of target from a map by their JSON names. At least
// one key must name a field, and every value that does must fit it.
func readMap(target, source reflect.Value) error {
	read := 0
	for _, f := range fieldsOf(target.Type()) {
		value, found := lookUp(source, f.name)
		if !found {
			continue
		}
		place, err := reach(target, f.index)
		if err == nil {
			err = fit(place, value)
		}
		if err != nil {
			return fmt.Errorf("key %q: %w", f.name, err)
		}
		read++
	}
	if read == 0 {
		return fmt.Errorf("no key names a field of %v", target.Type())
	}
	return nil
}

// lookUp finds a key as encoding/json would: as it is, or else in another case.
func lookUp(source reflect.Value, name string) (value reflect.Value, found bool) {
	keyType := source.Type().Key()
	if value = source.MapIndex(reflect.ValueOf(name).Convert(keyType)); value.IsValid() {
		return value, true
	}
	key := ""
	for entries := source.MapRange(); entries.Next(); {
		candidate := entries.Key().String()
		// Of several spellings the first in byte order, for a fixed answer.
		if strings.EqualFold(candidate, name) && (!found || candidate < key) {
			key, value, found = candidate, entries.Value(), true
		}
	}
	return value, found
}

// reach returns the field at index, making the embedded structs on the way.
func reach(target reflect.Value, index []int) (reflect.Value, error) {
	for depth, i := range index {
		if depth > 0 && target.Kind() == reflect.Pointer {
			if target.IsNil() {
				if !target.CanSet() {
					return target, fmt.Errorf("embedded %v is not exported", target.Type())
				}
				target.Set(reflect.New(target.Type().Elem()))
			}
			target = target.Elem()
		}
		target = target.Field(i)
	}
	return target, nil
}

// fit sets target to value: as it is where Go would assign it, structs from
// maps by these same rules, and everything else as encoding/json would read
// what it writes.
func fit(target, value reflect.Value) error {
	for value.Kind() == reflect.Interface {
		value = value.Elem()
	}
	misfit := func(err error) error {
		if err != nil {
			return fmt.Errorf("%v does not fit %v: %w", value.Type(), target.Type(), err)
		}
		return fmt.Errorf("%v does not fit %v", value.Type(), target.Type())
	}
	if !value.IsValid() {
		switch target.Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
			target.SetZero()
			return nil
		}
		return fmt.Errorf("nothing does not fit %v", target.Type())
	}
	if value.Type().AssignableTo(target.Type()) {
		target.Set(value)
		return nil
	}
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return misfit(errors.New("the pointer is nil"))
		}
		return fit(target, value.Elem())
	}
	switch {
	case reads[json.Unmarshaler](target), reads[encoding.TextUnmarshaler](target):
	case target.Kind() == reflect.Pointer:
		pointer := reflect.New(target.Type().Elem())
		if err := fit(pointer.Elem(), value); err != nil {
			return err
		}
		target.Set(pointer)
		return nil
	case target.Kind() == reflect.Struct && isMap(value.Type()):
		return readMap(target, value)
	case target.Kind() == reflect.Slice && value.Kind() == reflect.Slice:
		elements := reflect.MakeSlice(target.Type(), value.Len(), value.Len())
		for i := range value.Len() {
			if err := fit(elements.Index(i), value.Index(i)); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		target.Set(elements)
		return nil
	}
	text, err := json.Marshal(value.Interface())
	if err != nil {
		return misfit(err)
	}
	if string(text) == "null" {
		return misfit(nil)
	}
	if err := json.Unmarshal(text, target.Addr().Interface()); err != nil {
		if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && mismatch.Field == "" {
			return misfit(nil)
		}
		return misfit(err)
	}
	return nil
}

// reads reports whether the value reads itself through the interface I.
func reads[I any](target reflect.Value) bool {
	_, ok := target.Addr().Interface().(I)
	return ok
}

// writeMap returns the fields of a struct, or of what a pointer points to, by
// their JSON names. Anything else it returns as it is.
func writeMap(payload any) any {
	source := reflect.ValueOf(payload)
	if source.Kind() == reflect.Pointer {
		source = source.Elem()
	}
	if source.Kind() != reflect.Struct {
		return payload
	}
	result := make(map[string]any)
	for _, f := range fieldsOf(source.Type()) {
		value, err := source.FieldByIndexErr(f.index)
		if err != nil || f.omitZero && value.IsZero() || f.omitEmpty && isEmpty(value) {
			continue
		}
		result[f.name] = value.Interface()
	}
	return result
}

// isEmpty reports what encoding/json calls empty.
func isEmpty(value reflect.Value) bool {
	switch value.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return value.Len() == 0
	case reflect.Struct:
		return false
	default:
		return value.IsZero()
	}
}
