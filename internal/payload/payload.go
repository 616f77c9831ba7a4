// Package payload turns untyped payloads into values of a wanted type, and
// structs into maps. Its functions are pure, but for a cache of the fields of
// struct types. They run the methods that values have for JSON and text, and
// IsZero, and do not recover the panics of those: the caller does.
//
// # What reads
//
// [As] reads a struct from a map that Go code has made, or encoding/json. What
// Go would assign to a field is assigned as it is. Anything else fits a field
// if encoding/json would read it from what it writes for it: names, options and
// embedding of fields, methods of types, []byte as base64, keys that are numbers
// or texts. A json.RawMessage is the JSON that it holds. Beyond encoding/json, a
// float that is a whole number fits an integer (a map does not tell 7.0 from 7),
// an integer stays exact, and a field with the option "string" takes its plain
// value, too, which is what [Fields] makes of it.
//
// # What does not read
//
// No value is lost in silence, and no zero value passes for data. Hence misfits,
// although encoding/json reads them:
//
//   - null for what cannot be nil, also as an element of a list or map
//   - an object of which no key names a field of the struct, {} among them
//   - a list for an array of another length
//   - keys that are one and the same in the map wanted: "1" and "01" as numbers
//   - a struct for another struct or a map, and []byte for a string, if the type
//     does not write itself
//   - in a string for a field with the option "string", null and what is no JSON
//     (007); if the field is a string, text without quotes is its plain value
//   - what is nested more than 100 deep, pointers included: so cycles end
//
// Of several spellings of a field's name the exact one is read, or else the last
// in byte order; the others are ignored, since a map has no order. A float64 from
// 2^53 on is the integer that it is, and not the one that its text rounds to.
//
// # For maintainers
//
// [As] writes to no payload, for the sake of other handlers of the event, though
// what it returns may share maps, slices and pointers with it.
//
// All values in maps go through fit, a list of cases in the order in which they
// are tried: null, what Go assigns, pointers, methods of the target, numbers, methods
// of the value, kinds. A new form of value is a new case there. What encoding/json
// can do alone is left to it, by fitByJSON, so that the two cannot differ, and
// FuzzMapsReadAsJSONDoes compares the rest. The texts of errors may change, and
// the list above may become shorter, for as long as no value is lost in silence; it
// must not become longer, for the sake of those whose payloads fit today.
package payload

import "reflect"

// Misfit says why a payload is not a value of the wanted type.
type Misfit struct { //nolint:errname // it is the reason in the bus's PayloadError
	Reason string // empty if the two types say it all
}

// Error returns the reason.
func (m *Misfit) Error() string { return m.Reason }

// As returns data as a value of type want, or a [*Misfit]:
//
//   - data itself, if Go would assign it
//   - what data points to, if it is a pointer to a want, and not nil
//   - a pointer to a copy of data, if want is a pointer to its type
//   - a struct or a pointer to one, or anything that has an UnmarshalJSON, read
//     from a map with keys of kind string, as said above; a type with that
//     method, its own or one of an embedded field, reads the whole map by it
//   - nil for no data, if want is an interface
func As(data any, want reflect.Type) (any, error) {
	source := reflect.ValueOf(data)
	if !source.IsValid() {
		if want.Kind() == reflect.Interface {
			return nil, nil
		}
		return nil, &Misfit{}
	}
	target := reflect.New(want).Elem()
	switch got := source.Type(); {
	case assignable(got, want):
		target.Set(source)

	case got.Kind() == reflect.Pointer && got.Elem() == want:
		if source.IsNil() {
			return nil, &Misfit{"the pointer is nil"}
		}
		target.Set(source.Elem())

	case want.Kind() == reflect.Pointer && want.Elem() == got:
		target.Set(reflect.New(got))
		target.Elem().Set(source)

	case hasNames(got) && (StructOf(want) != nil || reflect.PointerTo(pointedTo(want)).Implements(jsonReader)):
		if err := fit(target, source, 0); err != nil {
			return nil, &Misfit{err.Error()}
		}

	default:
		return nil, &Misfit{}
	}
	return target.Interface(), nil
}
