package payload_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"time"
)

type (
	level int
	mood  int
	bytes []byte
	word8 uint8
	flag  bool

	base struct {
		Base    int       `json:"base"`
		Created time.Time `json:"created"`
	}
	Outer struct {
		Tenant string `json:"tenant"`
	}
	// everything has a field for each form of value.
	everything struct {
		base
		*Outer
		left `json:"left"`

		Name    string   `json:"name"`
		Mistype mistyped `json:"mistype"`
		OK      bool     `json:"ok"`
		Flag    flag     `json:"flag"`
		Int     int      `json:"int"`
		Int8    int8     `json:"int8"`
		Int64   int64    `json:"int64"`
		Uint8   uint8    `json:"uint8"`
		Uint64  uint64   `json:"uint64"`
		Float32 float32  `json:"float32"`
		Float64 float64  `json:"float64"`
		Level   level    `json:"level"`
		Nick    *string  `json:"nick"`
		Count   **int    `json:"count"`

		QInt     int64       `json:"q_int,string"`
		QUint    uint16      `json:"q_uint,string"`
		QFloat   float64     `json:"q_float,string"`
		QBool    bool        `json:"q_bool,string"`
		QString  string      `json:"q_string,string"`
		QNumber  json.Number `json:"q_number,string"`
		QLevel   *level      `json:"q_level,string"`
		QPointer *string     `json:"q_pointer,string"`
		QMood    mood        `json:"q_mood,string"`
		QPrice   cents       `json:"q_price,string"` //nolint:staticcheck // the option means nothing here

		Body   []byte  `json:"body"`
		Bytes  bytes   `json:"bytes"`
		Word8s []word8 `json:"word8s"`
		Four   [4]byte `json:"four"`
		Pair   [2]int  `json:"pair"`

		Number  json.Number       `json:"number"`
		Raw     json.RawMessage   `json:"raw"`
		RawPtr  *json.RawMessage  `json:"raw_ptr"`
		Raws    []json.RawMessage `json:"raws"`
		At      time.Time         `json:"at"`
		AtPtr   *time.Time        `json:"at_ptr"`
		Wait    time.Duration     `json:"wait"`
		Addr    netip.Addr        `json:"addr"`
		Mood    mood              `json:"mood"`
		Label   label             `json:"label"`
		Price   cents             `json:"price"`
		Prices  []*cents          `json:"prices"`
		Set     set               `json:"set"`
		Any     any               `json:"any"`
		Failure error             `json:"failure"`

		Tags    []string               `json:"tags"`
		Matrix  [][]int                `json:"matrix"`
		Home    account                `json:"home"`
		Work    *account               `json:"work"`
		Older   []account              `json:"older"`
		ByName  map[string]account     `json:"by_name"`
		ByWord  map[mistyped]int       `json:"by_word"`
		ByInt   map[int8]string        `json:"by_int"`
		ByUint  map[uint]*int          `json:"by_uint"`
		ByLabel map[label]bool         `json:"by_label"`
		ByTime  map[time.Time]int      `json:"by_time"`
		ByMood  map[mood]any           `json:"by_mood"`
		Deep    map[string][]everyone  `json:"deep"`
		Next    *everything            `json:"next"`
		Others  map[string]*everything `json:"others"`
	}
	everyone map[string]int
)

// UnmarshalText makes mood a number that is written as a text.
func (m *mood) UnmarshalText(text []byte) error {
	switch string(text) {
	case "good":
		*m = 1
	case "bad":
		*m = 2
	default:
		return errors.New("no mood")
	}
	return nil
}

func (m mood) MarshalText() ([]byte, error) { return []byte([]string{"?", "good", "bad"}[m]), nil }
