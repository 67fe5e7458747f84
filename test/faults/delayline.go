package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/florianl/go-nfqueue/v2"
	"github.com/mdlayher/netlink"
)

const (
	// queueLength bounds the packets that wait: 16 times 500 ms of 1,000 packets a
	// second. The kernel drops those beyond, as a full device queue does.
	queueLength = 8192
	// queueBuffer is the socket's receive buffer in bytes: a packet's metadata takes
	// some hundred, its payload stays in the kernel.
	queueBuffer = 8 << 20
	// drainMargin is for packets that the kernel has queued and that were not read yet.
	drainMargin = 50 * time.Millisecond
)

// delayLine lets the packets of a netfilter queue pass some time after they came, in
// their order, and drops a share of them.
type delayLine struct {
	queue   *nfqueue.Nfqueue
	stop    context.CancelFunc
	delay   time.Duration
	packets chan delayed
	done    chan struct{}
}

// delayed is a packet that waits.
type delayed struct {
	id      uint32
	due     time.Time
	verdict int
}

// openDelayLine reads a queue of the network namespace that the file descriptor
// netns stands for; 0 is the namespace of this process. It goes on until close, also
// when the context has ended.
func openDelayLine(ctx context.Context, netns int, number uint16, delay time.Duration, loss float64) (*delayLine, error) {
	queue, err := nfqueue.Open(&nfqueue.Config{
		NetNS:       netns,
		NfQueue:     number,
		MaxQueueLen: queueLength,
		Copymode:    nfqueue.NfQnlCopyMeta,
		// A large packet is one packet: it is cut up after the queue.
		Flags:        nfqueue.NfQaCfgFlagGSO,
		AfFamily:     syscall.AF_INET,
		WriteTimeout: time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("opening netfilter queue %d: %w", number, err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &delayLine{
		queue: queue, stop: cancel, delay: delay,
		packets: make(chan delayed, queueLength),
		done:    make(chan struct{}),
	}
	receive := func(a nfqueue.Attribute) int {
		if a.PacketID == nil {
			return 0
		}
		p := delayed{id: *a.PacketID, due: time.Now().Add(delay), verdict: nfqueue.NfAccept}
		if rand.Float64() < loss {
			p.verdict = nfqueue.NfDrop
		}
		// It has room: the kernel has no more packets in the queue than it takes.
		d.packets <- p
		return 0
	}
	// A message that did not fit the buffer is a lost packet, no reason to stop.
	failed := func(error) int {
		if ctx.Err() != nil {
			return 1
		}
		return 0
	}
	err = errors.Join(queue.Con.SetReadBuffer(queueBuffer), queue.SetOption(netlink.NoENOBUFS, true))
	if err == nil {
		err = queue.RegisterWithErrorFunc(ctx, receive, failed)
	}
	if err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("reading netfilter queue %d: %w", number, err), queue.Close())
	}
	go d.release()
	return d, nil
}

// release gives each packet its verdict when it is due.
func (d *delayLine) release() {
	defer close(d.done)
	for p := range d.packets {
		if left := time.Until(p.due); left > 0 {
			<-time.After(left)
		}
		// The packet of a verdict that fails stays in the queue until that is closed,
		// which drops it.
		_ = d.queue.SetVerdict(p.id, p.verdict)
	}
}

// close lets what is in the queue arrive and leaves the queue. It takes as long as
// the delay. New packets must not be sent to the queue any more.
func (d *delayLine) close() error {
	<-time.After(d.delay + drainMargin)
	d.stop()
	err := d.queue.Close() // returns when nothing is received any more
	close(d.packets)
	<-d.done
	if err != nil {
		return fmt.Errorf("closing the netfilter queue: %w", err)
	}
	return nil
}
