package topiclog

// Busy returns how many goroutines are at work behind the gate, with the
// events that are held.
func (g *Gate) Busy() int {
	g.Lock()
	defer g.Unlock()
	return g.busy
}
