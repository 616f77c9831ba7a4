package probe

import "fmt"

// ended judges the outcomes that no probe can put up with.
func (o Outcome) ended() (Verdict, bool) {
	switch {
	case o.Died:
		return Verdict{Bad, "the process dies"}, true
	case o.Hung, o.Facts.Stalled:
		return Verdict{Bad, "hangs"}, true
	}
	return Verdict{}, false
}

func judgePanicInline(o Outcome) Verdict {
	if v, ok := o.ended(); ok {
		return v
	}
	others := "the other handlers do not run"
	if o.Facts.Others {
		others = "the other handlers run"
	}
	var v Verdict
	switch {
	case o.Facts.Panicked:
		v = Verdict{Fair, "panics in the publisher; " + others}
	case o.Facts.Refused != "":
		v = Verdict{Fair, "an error for the publisher; " + others}
		if o.Facts.Others {
			v.Grade = Good
		}
	case o.Logged:
		v = Verdict{Fair, "logged; " + others}
	default:
		v = Verdict{Bad, "lost in silence; " + others}
	}
	if !o.Facts.Usable {
		return Verdict{Bad, v.Text + "; later events are not handled by all"}
	}
	return v
}

func judgePanicAsync(o Outcome) Verdict {
	if v, ok := o.ended(); ok {
		return v
	}
	switch {
	case o.Facts.Usable && o.Logged:
		return Verdict{Good, "reported; the subscriber goes on"}
	case o.Facts.Usable:
		return Verdict{Fair, "lost in silence; the subscriber goes on"}
	case o.Logged:
		return Verdict{Bad, "reported; later events are not handled"}
	default:
		return Verdict{Bad, "lost in silence; later events are not handled"}
	}
}

func judgeOwnTopic(o Outcome) Verdict {
	if v, ok := o.ended(); ok {
		return v
	}
	switch {
	case o.Facts.Refused != "":
		return Verdict{Fair, "refused with an error"}
	case o.Facts.Handled == 2:
		return Verdict{Good, "delivered"}
	case o.Facts.Handled > 2:
		return Verdict{Bad, "delivered more than once"}
	default:
		return Verdict{Bad, "not delivered"}
	}
}

func judgeOwnQueue(o Outcome) Verdict {
	if v, ok := o.ended(); ok {
		return v
	}
	switch {
	case o.Facts.Refused != "":
		return Verdict{Good, "refused with an error"}
	case o.Facts.Handled >= o.Facts.Accepted:
		return Verdict{Fair, "accepted without a limit"}
	default:
		return Verdict{Bad, fmt.Sprintf("%d of %d lost", o.Facts.Accepted-o.Facts.Handled, o.Facts.Accepted)}
	}
}

func judgeLeave(o Outcome) Verdict {
	if v, ok := o.ended(); ok {
		return v
	}
	switch {
	case o.Facts.Unable:
		return Verdict{Neutral, "cannot leave"}
	case !o.Facts.Others:
		return Verdict{Bad, "another handler misses an event or gets it twice"}
	case o.Facts.Late > 0:
		return Verdict{Fair, "it still gets the next event"}
	default:
		return Verdict{Good, "the others get every event"}
	}
}

func judgeClose(o Outcome) Verdict {
	if v, ok := o.ended(); ok {
		return v
	}
	f := o.Facts
	switch {
	case f.Unable:
		return Verdict{Neutral, "has no close"}
	case f.AtClose >= f.Accepted:
		return Verdict{Good, "handles them all, then returns"}
	case f.Handled >= f.Accepted:
		return Verdict{Fair, "returns at once; they are handled later"}
	default:
		return Verdict{Bad, fmt.Sprintf("%d of %d accepted events are lost", f.Accepted-f.Handled, f.Accepted)}
	}
}

func judgeCancel(o Outcome) Verdict {
	if v, ok := o.ended(); ok {
		return v
	}
	f := o.Facts
	switch {
	case f.Refused != "" || f.Handled == 0:
		return Verdict{Bad, "the event is not handled"}
	case !f.Context:
		return Verdict{Neutral, "handled; no context to the handler"}
	case f.Cancelled:
		return Verdict{Bad, "handled with a cancelled context"}
	case f.Values:
		return Verdict{Good, "handled; the context lives and keeps its values"}
	default:
		return Verdict{Fair, "handled; the context lives, its values are lost"}
	}
}

func judgeOrder(o Outcome) Verdict {
	if v, ok := o.ended(); ok {
		return v
	}
	f := o.Facts
	switch {
	case f.Handled < f.Accepted:
		return Verdict{Bad, fmt.Sprintf("%d of %d lost", f.Accepted-f.Handled, f.Accepted)}
	case f.Disorder > 0:
		return Verdict{Fair, "no"}
	default:
		return Verdict{Good, "yes"}
	}
}
