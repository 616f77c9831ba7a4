package migrate

import (
	"go/types"
	"testing"
)

func TestExportedName(t *testing.T) {
	for text, want := range map[string]string{
		"user.created":   "UserCreated",
		"user.logged_in": "UserLoggedIn",
		"user_id":        "UserID",
		"userId":         "UserID",
		"ID":             "ID",
		"ip":             "IP",
		"order-no":       "OrderNo",
		"2fa":            "X2fa",
		"größe":          "Größe",
		"...":            "",
	} {
		if got := exportedName(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestCommonNumber(t *testing.T) {
	basic := func(kind types.BasicKind) types.Type { return types.Typ[kind] }
	for _, test := range []struct{ a, b, want types.BasicKind }{
		{types.Int, types.Int64, types.Int64},
		{types.Int, types.Float64, types.Float64},
		{types.Float32, types.Int8, types.Float64},
		{types.Uint8, types.Uint, types.Uint64},
		{types.Uint8, types.Int, types.Int64},
		{types.Int, types.String, types.Invalid},
		{types.Bool, types.Int, types.Invalid},
		{types.Complex64, types.Int, types.Invalid},
	} {
		want := basic(test.want)
		if test.want == types.Invalid {
			want = nil
		}
		for _, got := range []types.Type{commonNumber(basic(test.a), basic(test.b)), commonNumber(basic(test.b), basic(test.a))} {
			if got != want {
				t.Errorf("%v and %v: %v, want %v", basic(test.a), basic(test.b), got, want)
			}
		}
	}
}
