package account // want package:`topics: user.created account.User, user.deleted account.Deletion, user.renamed account.Renaming`

import (
	"time"

	"github.com/typedbus/events"
)

type User struct {
	ID      int       `json:"id"`
	Email   string    `json:"email"`
	Score   float64   `json:"score"`
	Level   uint8     `json:"level"`
	Tags    []string  `json:"tags"`
	Since   time.Time `json:"since"`
	Sponsor *User     `json:"sponsor"`
}

type Deletion struct {
	ID     int    `json:"id"`
	Reason string `json:"reason"`
}

type Renaming struct{ From, To string }

var (
	UserCreated = events.NewTopic[User](events.EventUserCreated)
	UserDeleted = events.NewTopic[Deletion]("user.deleted", events.WithMapPayload())
	userRenamed = events.NewTopic[Renaming]("user.renamed")
)
