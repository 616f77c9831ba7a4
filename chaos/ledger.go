package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// entry is a line of a ledger.
type entry struct {
	Kind    kind
	At      int64 // nanoseconds of the machine's monotonic clock, which all processes share
	Process string
	Group   string // of begin, end and dead
	Key     string
	Number  int
	Attempt int    // of begin and end
	Since   int64  // of begin: when the event was claimed; of end: when it was begun
	Note    string // of intent: a fate; of end: an outcome; of gone: how
}

type kind string

const (
	isIntended  kind = "intent" // before it is published
	isStored    kind = "stored" // Publish or the commit returned nil
	isUndone    kind = "undone" // the transaction was rolled back
	isBegun     kind = "begin"  // its handler has begun
	isEnded     kind = "end"    // and is about to return
	isDead      kind = "dead"   // the engine lists it as a dead letter
	isSlain     kind = "slain"  // the process is about to be killed
	isStopped   kind = "stop"   // the process has been stopped
	isResumed   kind = "resume" // and is about to go on
	isGone      kind = "gone"   // the process has ended
	isOutage    kind = "outage" // the server is about to be killed
	isComplaint kind = "complaint"
)

// The outcomes of handlers.
const (
	outcomeOK      = "ok"
	outcomeFailed  = "failed"
	outcomeRefused = "refused" // for good
	outcomeLost    = "lost"    // the lease was over while the handler ran
	outcomeVoid    = "void"    // it was over when the handler first looked
	outcomeClosing = "closing" // Close has cancelled the handler
)

// now is the time by a clock that all processes of the machine share.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // there is no machine without one
	}
	return t.Nano()
}

// ledger is where a process notes what it does. Each line is in the file when write
// returns, so that a process that is killed takes nothing with it.
type ledger struct {
	file    *os.File
	process string
}

func openLedger(folder, process string) (*ledger, error) {
	file, err := os.OpenFile(filepath.Join(folder, process+".ledger"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &ledger{file, process}, nil
}

// write notes entries, at the time now if they have none. What a process does without
// noting it would be found to be a fault of the engine, so it panics if it cannot.
func (l *ledger) write(entries ...entry) {
	var lines []byte
	for _, e := range entries {
		if e.Process == "" {
			e.Process = l.process
		}
		if e.At == 0 {
			e.At = now()
		}
		lines = e.appendTo(lines)
	}
	if _, err := l.file.Write(lines); err != nil {
		panic(err)
	}
}

func (l *ledger) close() error { return l.file.Close() }

// nothing is in place of an empty text in a line.
const nothing = "-"

func (e *entry) appendTo(line []byte) []byte {
	text := func(s string) string {
		if s == "" {
			return nothing
		}
		return s
	}
	note := strings.Join(strings.Fields(e.Note), "_")
	return fmt.Appendf(line, "%s %d %s %s %s %d %d %d %s\n", e.Kind, e.At, e.Process, text(e.Group), text(e.Key), e.Number, e.Attempt, e.Since, text(note))
}

func parseEntry(line string) (e entry, err error) {
	fields := strings.Fields(line)
	if len(fields) != 9 {
		return e, fmt.Errorf("line of a ledger has %d fields, want 9: %q", len(fields), line)
	}
	number := func(s string) (n int64) {
		if err == nil {
			n, err = strconv.ParseInt(s, 10, 64)
		}
		return n
	}
	text := func(s string) string {
		if s == nothing {
			return ""
		}
		return strings.Clone(s)
	}
	e = entry{
		Kind: kind(fields[0]), At: number(fields[1]), Process: text(fields[2]), Group: text(fields[3]), Key: text(fields[4]),
		Number: int(number(fields[5])), Attempt: int(number(fields[6])), Since: number(fields[7]), Note: text(fields[8]),
	}
	return e, err
}

// library reads the ledgers of a folder, and remembers what it has read.
type library struct {
	folder  string
	read    map[string]int64 // bytes by file
	entries []entry
}

func newLibrary(folder string) *library {
	return &library{folder: folder, read: make(map[string]int64)}
}

// update reads what has been written since the last call.
func (l *library) update() error {
	paths, err := filepath.Glob(filepath.Join(l.folder, "*.ledger"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() == l.read[path] {
			continue
		}
		if err := l.updateFrom(path); err != nil {
			return err
		}
	}
	return nil
}

func (l *library) updateFrom(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	if _, err := file.Seek(l.read[path], io.SeekStart); err != nil {
		return err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1] // a line may be half there
	l.read[path] += int64(len(text))
	for line := range strings.Lines(string(text)) {
		e, err := parseEntry(line)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		l.entries = append(l.entries, e)
	}
	return nil
}
