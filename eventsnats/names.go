package eventsnats

import (
	"fmt"
	"strings"

	"github.com/typedbus/events/durable"
)

// longestName is how many bytes the name of a consumer may have: a server keeps it in
// folders of that name.
const longestName = 255

// redriven is the first part of a topic that none may have: behind it are the subjects for
// what is handled once more by one group alone.
const redriven = "~redriven"

// checkTopic reports why a topic cannot be a part of a subject.
func checkTopic(topic string) error {
	if len(topic) > longestName {
		return fmt.Errorf("%w: the topic has %d bytes, want %d at most", durable.ErrTooLarge, len(topic), longestName)
	}
	for token := range strings.SplitSeq(topic, ".") {
		switch {
		case token == "":
			return fmt.Errorf("topic %q: there is nothing before, behind or between its dots, want names there, as NATS does", topic)
		case token == redriven:
			return fmt.Errorf("topic %q: %s is for the engine's own use", topic, redriven)
		}
	}
	for _, r := range topic {
		if r <= ' ' || r == 0x7f || r == '*' || r == '>' {
			return fmt.Errorf("topic %q: it has %q, want none of spaces, control characters, * and >, which NATS forbids in subjects", topic, r)
		}
	}
	return nil
}

// subjects are those of a group.
type subjects struct {
	consumer string // the name of what is a group at the server
	topic    string
	again    string // what is handled once more
	dead     string // what it has given up, but for the number behind it
}

func (s *settings) subject(topic string) string { return s.prefix + "." + topic }

func (s *settings) deadStream() string { return s.stream + "-dead" }

func (s *settings) deadPrefix() string { return s.prefix + "-dead" }

// subjects returns those of a group, or an error that says why there can be none.
func (s *settings) subjects(topic, group string) (subjects, error) {
	if err := checkTopic(topic); err != nil {
		return subjects{}, err
	}
	consumer := consumerName(topic, group)
	if len(consumer) > longestName {
		return subjects{}, fmt.Errorf("%w: topic %q and group %q make a name of %d bytes, want %d at most", durable.ErrTooLarge, topic, group, len(consumer), longestName)
	}
	return subjects{
		consumer: consumer,
		topic:    s.subject(topic),
		again:    s.prefix + "." + redriven + "." + consumer,
		dead:     s.deadPrefix() + "." + consumer + ".",
	}, nil
}

// consumerName returns the name of a group at the server, which no other group has: a dot is
// ~, and what else could be in the way, there or in a subject, is = and its number.
func consumerName(topic, group string) string { return asName(topic) + "@" + asName(group) }

func asName(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_':
			b.WriteByte(c)
		case c == '.':
			b.WriteByte('~')
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// covers reports whether a filter, which may have wildcards, is for a subject.
func covers(filter, subject string) bool {
	if filter == "" || filter == subject {
		return true
	}
	wanted, had := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, token := range wanted {
		switch {
		case token == ">":
			return len(had) > i
		case i >= len(had), token != "*" && token != had[i]:
			return false
		}
	}
	return len(wanted) == len(had)
}
