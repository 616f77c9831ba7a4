package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// proxy passes connections on to a port of this machine, and can stall: then nothing gets
// through, and nobody is told, as with a network that loses all packets.
type proxy struct {
	listener net.Listener
	to       string
	flows    sync.WaitGroup

	mu    sync.Mutex
	until time.Time  // guarded by mu
	open  []net.Conn // guarded by mu
	over  bool       // guarded by mu
}

func newProxy(port int) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, to: fmt.Sprintf("127.0.0.1:%d", port)}
	p.flows.Go(p.accept)
	return p, nil
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *proxy) stall(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = time.Now().Add(d)
}

// wait waits until nothing is stalled.
func (p *proxy) wait() {
	for {
		p.mu.Lock()
		left := time.Until(p.until)
		if p.over {
			left = 0
		}
		p.mu.Unlock()
		if left <= 0 {
			return
		}
		time.Sleep(min(left, 50*time.Millisecond))
	}
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return // it is closed
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = near.Close() // the client sees that
			continue
		}
		p.mu.Lock()
		p.open = append(p.open, near, far)
		p.mu.Unlock()
		p.flows.Go(func() { p.pass(near, far) })
		p.flows.Go(func() { p.pass(far, near) })
	}
}

// pass passes on what comes, until one of the two ends.
func (p *proxy) pass(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.wait()
		if n > 0 {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				err = errors.Join(err, failed)
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				_ = from.Close() // it is broken
			}
			_ = to.Close() // as the other one is
			return
		}
	}
}

func (p *proxy) close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.over = true
	for _, conn := range p.open {
		_ = conn.Close() // it may have ended
	}
	p.mu.Unlock()
	p.flows.Wait()
	return err
}
