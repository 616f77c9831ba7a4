package durabletest

import "github.com/typedbus/events/durable"

// conformanceCase is a promise, or a part of one. The first part of its name is
// the heading of the promise.
type conformanceCase struct {
	name  string
	needs func(durable.Features) bool // nil for what every engine must do
	run   func(*kit)
}

var cases = []conformanceCase{
	{"Stored", nil, stored},
	{"Stored/AllOrNone", func(f durable.Features) bool { return f.AtomicBatch }, allOrNone},
	{"Stored/AsItWas", nil, asItWas},
	{"EveryGroupAtLeastOnce", nil, everyGroup},
	{"EveryGroupAtLeastOnce/ProcessesShare", nil, processesShare},
	{"EveryGroupAtLeastOnce/FromStart", func(f durable.Features) bool { return f.FromStart }, fromStart},
	{"EveryGroupAtLeastOnce/Declare", nil, declared},
	{"EveryGroupAtLeastOnce/Delayed", func(f durable.Features) bool { return f.DelayedPublish }, delayed},
	{"EveryGroupAtLeastOnce/Killed", func(f durable.Features) bool { return f.Fencing }, killed},
	{"AFailureIsTriedAgain", func(f durable.Features) bool { return f.Delay && f.Attempts }, triedAgain},
	{"AFailureIsTriedAgain/After", func(f durable.Features) bool { return f.Delay }, triedAfter},
	{"NothingIsThrownAway", canList, deadLettered},
	{"NothingIsThrownAway/Unreadable", canList, unreadable},
	{"NothingIsThrownAway/Discard", canList, discard},
	{"NothingIsThrownAway/KillsItsProcess", func(f durable.Features) bool { return canList(f) && f.Fencing && f.Attempts }, killsItsProcess},
	{"OrderByKey", byKey, orderByKey},
	{"OrderByKey/ThroughRetries", byKey, orderThroughRetries},
	{"OrderByKey/DeadLetterLetsGoOn", func(f durable.Features) bool { return byKey(f) && canList(f) }, deadLetterLetsGoOn},
	{"OrderByKey/Conflict", byKey, groupConflict},
	{"ALeaseThatRanOutIsLost", func(f durable.Features) bool { return f.Fencing }, leaseLost},
	{"ALeaseThatRanOutIsLost/NobodyElse", func(f durable.Features) bool { return f.Fencing }, leaseOfNobodyElse},
	{"ALeaseThatRanOutIsLost/Renewed", func(f durable.Features) bool { return f.Renew }, leaseRenewed},
	{"ASlowConsumerHoldsNobodyUp", nil, slowConsumer},
	{"CloseDrains", nil, closeDrains},
	{"CloseDrains/GivesBack", nil, closeGivesBack},
	{"AnEngineSaysWhatItCannotDo", nil, refuses},
	{"AnEngineSaysWhatItCannotDo/Closed", nil, refusesWhenClosed},
	{"PanicsAreErrors", func(f durable.Features) bool { return f.Delay }, panicsAreErrors},
	{"PanicsAreErrors/Trace", nil, traceGoesOn},
}

func canList(f durable.Features) bool { return f.DeadLetters }
func byKey(f durable.Features) bool   { return f.OrderByKey && f.Delay }
