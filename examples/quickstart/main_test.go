package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// output runs the program on time that passes by itself.
func output(t *testing.T, orders io.Reader) (lines []string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		err = run(t.Context(), &out, orders)
		for line := range strings.Lines(out.String()) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	})
	return lines, err
}

func TestEveryRequestOfTheSample(t *testing.T) {
	lines, err := output(t, bytes.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	requests := make(map[string][]string)
	for _, line := range lines {
		if number, rest, _ := strings.Cut(line, " "); strings.HasPrefix(number, "#") {
			requests[number] = append(requests[number], rest)
		}
	}
	if len(requests) != 12 {
		t.Errorf("%d requests, want 12", len(requests))
	}
	const inStock = "order.placed stock all of it in stock"
	for number, want := range map[string][]string{
		"#1": {
			inStock,
			"order.placed payment charged 39.90 EUR",
			"accepted",
			"order.paid picking 1 KETTLE-1L from aisle A",
			"order.paid receipt mailed to ines.moreau@example.com",
		},
		"#4": {inStock, "order.placed payment FAILED: card declined", "rejected"},
		"#5": {
			inStock,
			"order.placed payment try failed: no answer from the gateway",
			"order.placed payment charged 23.50 EUR",
			"accepted",
			"order.paid picking 3 TEA-ASSAM from aisle C",
			"order.paid picking 1 FILTER-100 from aisle C",
			"order.paid receipt mailed to lucia@ferrer.example",
		},
		"#6": { // the handler behind the one that panics runs
			inStock,
			"order.placed payment charged 50.00 EUR",
			"accepted",
			"order.paid picking FAILED: panic: runtime error: invalid memory address or nil pointer dereference",
			"order.paid receipt mailed to karin.holm@example.se",
		},
		"#7": {
			inStock,
			"order.placed payment charged 58.80 EUR",
			"accepted",
			"order.paid picking 12 FILTER-100 from aisle C",
			"order.paid receipt mailed to inkoop@devries.example",
		},
		"#8": {
			`order.placed stock FAILED: payload of event order.placed is map[string]interface {}, want main.Order: ` +
				`key "items": element 0: key "quantity": string does not fit int`,
			"rejected",
		},
		"#9": {"order.placed stock FAILED: 40 GRINDER wanted, 7 in stock", "rejected"},
		"#11": {
			inStock,
			"order.placed payment try failed: no answer from the gateway",
			"order.placed payment charged 46.10 EUR",
			"accepted",
			"order.paid picking 1 KETTLE-1L from aisle A",
			"order.paid picking 1 TEA-ASSAM from aisle C",
			`order.paid receipt FAILED: "daniel.kim at example.com" is no address`,
		},
	} {
		if got := requests[number]; !slices.Equal(got, want) {
			t.Errorf("request %s:\n%s\nwant:\n%s", number, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestReceiptOutlivesItsRequest(t *testing.T) {
	lines, err := output(t, bytes.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	accepted := slices.Index(lines, "#1 accepted")
	following := slices.Index(lines, "#2 accepted")
	receipt := slices.Index(lines, "#1 order.paid receipt mailed to ines.moreau@example.com")
	if accepted < 0 || following < accepted || receipt < following {
		t.Errorf("accepted in line %d, the next request in %d, receipt in %d; want them in this order",
			accepted, following, receipt)
	}
}

func TestCloseDrains(t *testing.T) {
	lines, err := output(t, bytes.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	closing := slices.Index(lines, "closing the bus: 4 paid orders are still being handled")
	receipt := slices.Index(lines, "#12 order.paid receipt mailed to sofia.rossi@example.it")
	if closing < 0 || receipt < closing {
		t.Errorf("closing in line %d, the last receipt in %d; want it after", closing, receipt)
	}
	want := []string{
		"closed: 0 left",
		"",
		"9 orders accepted, 3 rejected",
		"12 events order.placed, 9 order.paid",
		"8 receipts mailed, 5 handlers failed",
	}
	if got := lines[len(lines)-len(want):]; !slices.Equal(got, want) {
		t.Errorf("ends with\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestUnreadableInput(t *testing.T) {
	folder := t.TempDir()
	garbage := filepath.Join(folder, "orders.jsonl")
	if err := os.WriteFile(garbage, []byte("{}\n\nid;customer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"missing":       {[]string{filepath.Join(folder, "none")}, "none"},
		"folder":        {[]string{folder}, "reading orders: "},
		"not JSON":      {[]string{garbage}, `line 3 is not JSON: "id;customer"`},
		"two arguments": {[]string{"a", "b"}, "want one argument at most"},
	} {
		t.Run(name, func(t *testing.T) {
			err := start(context.Background(), io.Discard, test.arguments)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestOrdersThatAreNone(t *testing.T) {
	lines, err := output(t, strings.NewReader(`{"sku":"MUG-BLUE"}`+"\n"+`["MUG-BLUE"]`+"\n"+`{"id":7}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := "0 orders accepted, 3 rejected"; !slices.Contains(lines, want) {
		t.Errorf("%q is not in\n%s", want, strings.Join(lines, "\n"))
	}
}
