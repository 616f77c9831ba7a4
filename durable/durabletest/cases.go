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
	{"Stored/InTransactions", nil, inTransactions},
	{"EveryGroupAtLeastOnce", nil, everyGroup},
	{"EveryGroupAtLeastOnce/ProcessesShare", nil, processesShare},
	{"EveryGroupAtLeastOnce/SubscribedTwice", nil, subscribedTwice},
	{"EveryGroupAtLeastOnce/WhilePublishing", nil, whilePublishing},
	{"EveryGroupAtLeastOnce/ThousandGroups", nil, thousandGroups},
	{"EveryGroupAtLeastOnce/FromStart", func(f durable.Features) bool { return f.FromStart }, fromStart},
	{"EveryGroupAtLeastOnce/Declare", nil, declared},
	{"EveryGroupAtLeastOnce/Delayed", func(f durable.Features) bool { return f.DelayedPublish }, delayed},
	{"EveryGroupAtLeastOnce/Killed", func(f durable.Features) bool { return f.Fencing }, killed},
	{"EveryGroupAtLeastOnce/Once", func(f durable.Features) bool { return f.Fencing }, once},
	{"AFailureIsTriedAgain", func(f durable.Features) bool { return f.Delay && f.Attempts }, triedAgain},
	{"AFailureIsTriedAgain/After", func(f durable.Features) bool { return f.Delay }, triedAfter},
	{"AFailureIsTriedAgain/AtOnce", func(f durable.Features) bool { return f.Delay && f.Attempts }, triedAtOnce},
	{"NothingIsThrownAway", canList, deadLettered},
	{"NothingIsThrownAway/Unreadable", canList, unreadable},
	{"NothingIsThrownAway/Discard", canList, discard},
	{"NothingIsThrownAway/KillsItsProcess", func(f durable.Features) bool { return canList(f) && f.Fencing && f.Attempts }, killsItsProcess},
	{"NothingIsThrownAway/Pages", func(f durable.Features) bool { return canList(f) && f.Delay && f.Attempts }, pages},
	{"NothingIsThrownAway/References", func(f durable.Features) bool { return canList(f) && f.Delay }, references},
	{"NothingIsThrownAway/LoweredLimit", func(f durable.Features) bool { return canList(f) && f.Delay && f.Attempts }, loweredLimit},
	{"NothingIsThrownAway/TooOld", canList, tooOld},
	{"NothingIsThrownAway/EveryState", func(f durable.Features) bool {
		return canList(f) && byKey(f) && f.Fencing && f.Renew && f.DelayedPublish
	}, everyState},
	{"NothingIsThrownAway/Swept", canList, swept},
	{"OrderByKey", byKey, orderByKey},
	{"OrderByKey/ThroughRetries", byKey, orderThroughRetries},
	{"OrderByKey/DeadLetterLetsGoOn", func(f durable.Features) bool { return byKey(f) && canList(f) }, deadLetterLetsGoOn},
	{"OrderByKey/RunCutByMax", byKey, runCutByMax},
	{"OrderByKey/RunCutByFailure", func(f durable.Features) bool { return byKey(f) && canList(f) }, runCutByFailure},
	{"OrderByKey/RunCutByExpiry", func(f durable.Features) bool { return byKey(f) && f.Fencing }, runCutByExpiry},
	{"OrderByKey/LongLine", byKey, longLine},
	{"OrderByKey/Conflict", byKey, groupConflict},
	{"ALeaseThatRanOutIsLost", func(f durable.Features) bool { return f.Fencing }, leaseLost},
	{"ALeaseThatRanOutIsLost/NobodyElse", func(f durable.Features) bool { return f.Fencing }, leaseOfNobodyElse},
	{"ALeaseThatRanOutIsLost/Renewed", func(f durable.Features) bool { return f.Renew }, leaseRenewed},
	{"ALeaseThatRanOutIsLost/RenewedTogether", func(f durable.Features) bool { return f.Renew && f.Fencing }, renewedTogether},
	{"ALeaseThatRanOutIsLost/SettledBefore", func(f durable.Features) bool { return f.Fencing && f.Delay && canList(f) }, settledBefore},
	{"ALeaseThatRanOutIsLost/Redriven", func(f durable.Features) bool { return f.Fencing && canList(f) }, lostByRedrive},
	{"ALeaseThatRanOutIsLost/InPart", func(f durable.Features) bool { return f.Fencing && f.Renew && f.Delay && f.Attempts && canList(f) }, settledInPart},
	{"ASlowConsumerHoldsNobodyUp", nil, slowConsumer},
	{"ASlowConsumerHoldsNobodyUp/Event", nil, slowEvent},
	{"CloseDrains", nil, closeDrains},
	{"CloseDrains/GivesBack", nil, closeGivesBack},
	{"CloseDrains/AtWork", nil, closedAtWork},
	{"CloseDrains/FromEverywhere", nil, closedFromEverywhere},
	{"CloseDrains/AtAnyMoment", nil, closedAtAnyMoment},
	{"CloseDrains/ReceiveGivesUp", nil, receiveGivesUp},
	{"AnEngineSaysWhatItCannotDo", nil, refuses},
	{"AnEngineSaysWhatItCannotDo/Closed", nil, refusesWhenClosed},
	{"PanicsAreErrors", func(f durable.Features) bool { return f.Delay }, panicsAreErrors},
	{"PanicsAreErrors/Trace", nil, traceGoesOn},
}

func canList(f durable.Features) bool { return f.DeadLetters }
func byKey(f durable.Features) bool   { return f.OrderByKey && f.Delay }
