package migrate

import (
	"go/types"
	"strconv"
	"strings"
	"unicode"
)

var anything = types.NewInterfaceType(nil, nil)

// fieldType finds the one type for all values that are sent under a key.
func (p *program) fieldType(e *evidence, event *event, key string, sent []entry) types.Type {
	var result types.Type
	var first entry
	for _, entry := range sent {
		t := types.Default(entry.value.Type)
		switch {
		case entry.value.IsNil() || types.IsInterface(t):
		case result == nil:
			result, first = t, entry
		case same(result, t):
		default:
			number := commonNumber(result, t)
			if number == nil {
				e.note(disagreement, p.place(entry.at), event.name, "%q is sent as %s here and as %s at %s: declared as any",
					key, p.typeText(t), p.typeText(result), p.place(first.at))
				return anything
			}
			e.note(disagreement, p.place(entry.at), event.name, "%q is sent as %s here and as %s at %s: declared as %s",
				key, p.typeText(t), p.typeText(result), p.place(first.at), p.typeText(number))
			result = number
		}
	}
	if result != nil {
		return result
	}
	return p.typeRead(event, key)
}

// typeRead returns the type under which all handlers assert a key.
func (p *program) typeRead(event *event, key string) types.Type {
	var result types.Type = anything
	for _, s := range event.subscribers {
		for _, read := range s.reads {
			switch {
			case read.key != key || read.want == nil || types.IsInterface(read.want):
			case types.IsInterface(result):
				result = read.want
			case !same(result, read.want):
				return anything
			}
		}
	}
	return result
}

// commonNumber returns a number type that holds the values of both, or nil.
func commonNumber(a, b types.Type) types.Type {
	x, isBasic := types.Unalias(a).(*types.Basic)
	y, areBasic := types.Unalias(b).(*types.Basic)
	switch {
	case !isBasic || !areBasic || x.Info()&types.IsNumeric == 0 || y.Info()&types.IsNumeric == 0:
		return nil
	case (x.Info()|y.Info())&types.IsComplex != 0:
		return nil
	case (x.Info()|y.Info())&types.IsFloat != 0:
		return types.Typ[types.Float64]
	case x.Info()&y.Info()&types.IsUnsigned != 0:
		return types.Typ[types.Uint64]
	}
	return types.Typ[types.Int64]
}

// same compares types that may come from two readings of one package.
func same(a, b types.Type) bool {
	return types.Identical(a, b) || types.TypeString(a, nil) == types.TypeString(b, nil)
}

// typeText writes a type for people.
func (p *program) typeText(t types.Type) string {
	return strings.ReplaceAll(types.TypeString(t, (*types.Package).Name), "interface{}", "any")
}

func quoted(keys []string) string {
	var parts []string
	for _, key := range keys {
		parts = append(parts, strconv.Quote(key))
	}
	return strings.Join(parts, ", ")
}

// initialisms are written in capitals.
var initialisms = map[string]bool{
	"api": true, "cpu": true, "css": true, "db": true, "dns": true, "html": true, "http": true, "https": true,
	"id": true, "ip": true, "json": true, "os": true, "rpc": true, "sku": true, "sms": true, "sql": true, "ssh": true,
	"tcp": true, "tls": true, "ttl": true, "udp": true, "ui": true, "uri": true, "url": true, "uuid": true, "xml": true,
}

// exportedName makes a Go name of an event's name or of a key: UserLoggedIn of
// user.logged_in, UserID of user_id and of userId.
func exportedName(text string) string {
	var words []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}
	lower := false
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
			continue
		}
		if unicode.IsUpper(r) && lower {
			flush()
		}
		lower = unicode.IsLower(r)
		word.WriteRune(r)
	}
	flush()
	var name strings.Builder
	for _, w := range words {
		if initialisms[strings.ToLower(w)] {
			name.WriteString(strings.ToUpper(w))
			continue
		}
		letters := []rune(w)
		letters[0] = unicode.ToUpper(letters[0])
		name.WriteString(string(letters))
	}
	if name.Len() == 0 {
		return ""
	}
	if first := rune(name.String()[0]); unicode.IsDigit(first) {
		return "X" + name.String()
	}
	return name.String()
}
