package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
)

func TestJournalAndDiary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var journal, diary bytes.Buffer
		if err := run(t.Context(), &journal, &diary); err != nil {
			t.Fatal(err)
		}
		const events = `{"number":1,"time":"2000-01-01T00:00:00Z","event":"user.created","data":{"id":1,"email":"ada@example.com"}}
{"number":2,"time":"2000-01-01T00:00:00Z","event":"invoice.issued","data":{"number":"2031-001","user":1,"cents":900}}
{"number":3,"time":"2000-01-01T00:00:00Z","event":"system.started"}
{"number":4,"time":"2000-01-01T00:00:00Z","event":"disk.low","data":{"free":"3%"}}
{"number":5,"time":"2000-01-01T00:00:00Z","event":"user.created","data":{"id":2,"email":""}}
{"number":6,"time":"2000-01-01T00:00:00Z","event":"invoice.issued","data":{"number":"2031-002","user":2,"cents":900}}
`
		if got := journal.String(); got != events {
			t.Errorf("journal:\n%s\nwant:\n%s", got, events)
		}

		// slog prints the local time, which differs from place to place.
		var lines [][]byte
		for line := range bytes.Lines(diary.Bytes()) {
			_, line, _ = bytes.Cut(line, []byte(" "))
			lines = append(lines, line)
		}
		const want = `level=INFO msg="event handled" event=user.created took=0s handler=welcome
level=INFO msg="event handled" event=user.created took=0s handler=invoice
level=ERROR msg="event failed" event=user.created took=0s handler=welcome error="no address to write to"
level=INFO msg="event handled" event=user.created took=0s handler=invoice
`
		if got := string(bytes.Join(lines, nil)); got != want {
			t.Errorf("diary:\n%s\nwant:\n%s", got, want)
		}
	})
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFullDisk }

var errFullDisk = errors.New("disk is full")

func TestPublisherLearnsOfAnUnwrittenJournal(t *testing.T) {
	if err := run(t.Context(), fullDisk{}, io.Discard); !errors.Is(err, errFullDisk) {
		t.Errorf("error %v, want %v", err, errFullDisk)
	}
}
