package durable

import "time"

// Solitude is how a receiver comes to have a delivery alone that is suspected of
// ending its process, for engines to keep with each [Receiver]. The zero Solitude is
// ready. It has no lock.
type Solitude struct{ end, next time.Time }

// IsToWait reports, for a suspect that is due while others are in hand, whether to
// claim nothing now: for up to a lease, and then not for ten. until is when the
// answer changes.
func (s *Solitude) IsToWait(now time.Time, lease time.Duration) (wait bool, until time.Time) {
	if !now.Before(s.next) {
		s.end, s.next = now.Add(lease), now.Add(11*lease)
	}
	if now.Before(s.end) {
		return true, s.end
	}
	return false, s.next
}
