//eventsvet:ignore name the names of another system

package name

import "github.com/typedbus/events"

var _ = events.NewTopic[int]("SHOUTED_ELSEWHERE")
