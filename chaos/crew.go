package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// crew is the processes that the director has running. It is used by one goroutine.
type crew struct {
	*stage
	ledger    *ledger
	processes []*process
	waiters   sync.WaitGroup // one for each process that was started
	started   int
}

// process is a place in the crew: when what is in it ends, another one takes it.
type process struct {
	job
	command *exec.Cmd
	stdin   io.Closer
	log     *os.File
	ended   chan struct{} // closed when it has ended
	state   state
	until   time.Time // when one that is held up goes on, or one that is ending must have ended
}

type state uint8

const (
	isRunning state = iota
	isHeldUp        // by SIGSTOP
	isEnding        // it was asked to by SIGTERM
	isKilled
	isHung // it was killed because it did not end
)

// add starts a process with a job of its own.
func (c *crew) add(j job) error {
	p := &process{job: j}
	c.processes = append(c.processes, p)
	return c.start(p)
}

func (c *crew) start(p *process) error {
	c.started++
	p.Name = fmt.Sprintf("%s%d", p.Role[:1], c.started)
	p.Engine, p.Address, p.Folder, p.Seed = cmp.Or(p.Engine, c.engine.name), cmp.Or(p.Address, c.address), c.folder, c.random.Uint64()
	text, err := json.Marshal(p.job)
	if err != nil {
		return err
	}
	if p.log, err = os.Create(filepath.Join(c.folder, p.Name+".log")); err != nil {
		return err
	}
	p.command = exec.Command(c.program, actArgument, string(text))
	p.command.Stdout, p.command.Stderr = p.log, p.log
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		return err
	}
	if err := p.command.Start(); err != nil {
		return err
	}
	p.state = isRunning
	command, log := p.command, p.log
	ended := make(chan struct{})
	p.ended = ended
	c.waiters.Go(func() {
		defer close(ended)
		_ = command.Wait() // ProcessState tells it all
		_ = log.Close()    // of no more use
	})
	return nil
}

// signal sends a signal, which is of no effect on a process that has just ended.
func (p *process) signal(s syscall.Signal) { _ = p.command.Process.Signal(s) }

func (c *crew) kill(p *process) {
	c.ledger.write(entry{Kind: isSlain, Process: p.Name})
	p.state = isKilled
	p.signal(syscall.SIGKILL)
}

// holdUp stops a process for a while. A thread that is running goes on for a moment, on a
// busy machine for some milliseconds, so the note is taken when all of them stand still.
func (c *crew) holdUp(p *process, d time.Duration) {
	p.signal(syscall.SIGSTOP)
	var stopped unix.Siginfo
	for errors.Is(unix.Waitid(unix.P_PID, p.command.Process.Pid, &stopped, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		continue // Go's own signals come between
	}
	c.ledger.write(entry{Kind: isStopped, Process: p.Name})
	p.state, p.until = isHeldUp, time.Now().Add(d)
}

func (c *crew) resume(p *process) {
	c.ledger.write(entry{Kind: isResumed, Process: p.Name})
	p.signal(syscall.SIGCONT)
	p.state = isRunning
}

// dismiss asks a process to end.
func (c *crew) dismiss(p *process) {
	p.state, p.until = isEnding, time.Now().Add(patience+10*time.Second)
	p.signal(syscall.SIGTERM)
}

// tend does what is due: it has processes go on that were held up, and starts others in
// place of those that have ended.
func (c *crew) tend() error {
	for _, p := range c.processes {
		select {
		case <-p.ended:
			c.note(p)
			if err := c.start(p); err != nil {
				return err
			}
			continue
		default:
		}
		switch {
		case p.state == isHeldUp && time.Now().After(p.until) && c.random.IntN(4) == 0:
			c.kill(p)
		case p.state == isHeldUp && time.Now().After(p.until):
			c.resume(p)
		case p.state == isEnding && time.Now().After(p.until):
			c.interrogate(p)
		}
	}
	return nil
}

// note notes how a process has ended. One that is asked to when it has hardly begun ends
// by the signal.
func (c *crew) note(p *process) {
	_ = p.stdin.Close() // it may be closed by now
	status, _ := p.command.ProcessState.Sys().(syscall.WaitStatus)
	how := "crashed"
	switch {
	case p.state == isHung:
		how = "hung"
	case p.state == isKilled, c.killers && status.Signaled() && status.Signal() == syscall.SIGKILL:
		how = "killed"
	case p.state == isEnding && (status.Exited() && status.ExitStatus() == 0 || status.Signaled() && status.Signal() == syscall.SIGTERM):
		how = "dismissed"
	}
	c.ledger.write(entry{Kind: isGone, Process: p.Name, Note: how})
}

// end has the processes of a role end, and waits for that.
func (c *crew) end(role string) {
	var ending, staying []*process
	for _, p := range c.processes {
		if p.Role == role {
			ending = append(ending, p)
		} else {
			staying = append(staying, p)
		}
	}
	c.processes = staying
	for _, p := range ending {
		if p.state == isHeldUp {
			c.resume(p)
		}
		if p.state == isRunning {
			c.dismiss(p)
		}
	}
	for _, p := range ending {
		timer := time.NewTimer(time.Until(p.until))
		select {
		case <-p.ended:
		case <-timer.C:
			c.interrogate(p)
			<-p.ended
		}
		timer.Stop()
		c.note(p)
	}
}

// interrogate ends a process that does not end, and has it tell its log what its
// goroutines are at.
func (c *crew) interrogate(p *process) {
	if p.state == isEnding {
		p.state = isHung
		p.signal(syscall.SIGQUIT)
	}
}

// killAll ends the crew at once, when the run itself has failed.
func (c *crew) killAll() {
	for _, p := range c.processes {
		p.signal(syscall.SIGKILL)
	}
	c.waiters.Wait()
}
