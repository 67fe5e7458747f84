//go:build e2e

package faults

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// kubernetesService is the API server's Service.
const kubernetesService = "10.96.0.1:443"

const (
	// reachTimeout is far above what a packet takes on one machine, unless it is busy.
	reachTimeout = 4 * time.Second
	// reachTries is how often a way is tried that times out: one that is cut does so
	// each time, one on a busy machine does not.
	reachTries = 2
)

// The ways that are tried: who reaches whom, seen from the sick worker.
const (
	podToService    = "a pod on it → the kubernetes Service"
	podToAPIServer  = "a pod on it → the API server"
	podToPod        = "a pod on it → a pod elsewhere"
	podToNeighbour  = "a pod on it → a pod beside it"
	podToKubelet    = "a pod on it → its kubelet"
	podToDNS        = "a pod on it → a DNS server elsewhere, UDP"
	podToDNSTCP     = "a pod on it → a DNS server elsewhere, TCP"
	otherToPod      = "a pod elsewhere → a pod on it"
	otherToDNS      = "a pod elsewhere → a DNS server on it, UDP"
	otherToService  = "a pod elsewhere → the kubernetes Service"
	hostToPod       = "the API server's machine → a pod on it"
	hostToKubelet   = "the API server's machine → its kubelet"
	nodeToPod       = "it → a pod on it"
	nodeToAPIServer = "it → the API server"
)

// way is one try.
type way struct {
	pid     int // whose network it is tried from; 0 is this process's
	network string
	address string
}

// ways finds who is where now.
func (b *bench) ways(ctx context.Context) (map[string]way, error) {
	api, err := url.Parse(b.c.Config().Host)
	if err != nil {
		return nil, err
	}
	node, err := b.c.WorkerPID(sick)
	if err != nil {
		return nil, err
	}
	nodeIP, err := b.c.WorkerIP(sick)
	if err != nil {
		return nil, err
	}
	type place struct{ app, worker string }
	ip, pid := map[place]string{}, map[place]int{}
	for _, p := range []place{{looker, sick}, {beside, sick}, {looker, well}} {
		pod, err := b.pod(ctx, p.app, p.worker)
		if err != nil {
			return nil, err
		}
		ip[p] = pod.Status.PodIP
		if pid[p], err = b.podPID(ctx, p.app, p.worker); err != nil {
			return nil, err
		}
	}
	here, next, there := place{looker, sick}, place{beside, sick}, place{looker, well}
	health := func(p place) string { return net.JoinHostPort(ip[p], strconv.Itoa(healthz)) }
	dns := func(p place) string { return net.JoinHostPort(ip[p], "53") }
	kubelet := net.JoinHostPort(nodeIP, "10250")
	server := net.JoinHostPort(b.c.HostIP(), api.Port())
	return map[string]way{
		podToService:    {pid[here], "tcp", kubernetesService},
		podToAPIServer:  {pid[here], "tcp", server},
		podToPod:        {pid[here], "tcp", health(there)},
		podToNeighbour:  {pid[here], "tcp", health(next)},
		podToKubelet:    {pid[here], "tcp", kubelet},
		podToDNS:        {pid[here], "udp", dns(there)},
		podToDNSTCP:     {pid[here], "tcp", dns(there)},
		otherToPod:      {pid[there], "tcp", health(here)},
		otherToDNS:      {pid[there], "udp", dns(here)},
		otherToService:  {pid[there], "tcp", kubernetesService},
		hostToPod:       {0, "tcp", health(here)},
		hostToKubelet:   {0, "tcp", kubelet},
		nodeToPod:       {node, "tcp", health(here)},
		nodeToAPIServer: {node, "tcp", server},
	}, nil
}

// broken lists, in order, the ways that do not work now: by their name alone where
// nothing answered, and otherwise with the error.
func (b *bench) broken(ctx context.Context) []string {
	ways, err := b.ways(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	type result struct {
		name string
		err  error
	}
	results := make(chan result)
	for name, w := range ways {
		go func() {
			err := w.try(ctx)
			for range reachTries - 1 {
				if !timedOut(err) {
					break
				}
				err = w.try(ctx)
			}
			results <- result{name, err}
		}()
	}
	var broken []string
	for range ways {
		r := <-results
		switch {
		case r.err == nil:
		case timedOut(r.err):
			broken = append(broken, r.name)
		default:
			broken = append(broken, fmt.Sprintf("%s: %v", r.name, r.err))
		}
	}
	slices.Sort(broken)
	return broken
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// try opens a connection and, over UDP, has a question answered.
func (w way) try(ctx context.Context) error {
	conn, err := dialFrom(ctx, w.pid, w.network, w.address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if w.network != "udp" {
		return nil
	}
	if err := conn.SetDeadline(time.Now().Add(reachTimeout)); err != nil {
		return err
	}
	question := []byte{0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'x', 0, 0, 1, 0, 1} // A x.
	if _, err := conn.Write(question); err != nil {
		return err
	}
	answer := make([]byte, 512)
	n, err := conn.Read(answer)
	if err != nil {
		return err
	}
	if n < 2 || binary.BigEndian.Uint16(answer) != 0xabcd {
		return fmt.Errorf("%d bytes that answer another question: %w", n, io.ErrUnexpectedEOF)
	}
	return nil
}

// dialFrom dials from the network namespace of a process. The connection belongs to
// that network for good, and may be used from anywhere.
func dialFrom(ctx context.Context, pid int, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: reachTimeout}
	if pid == 0 {
		return dialer.DialContext(ctx, network, address)
	}
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, in the other network.
		runtime.LockOSThread()
		err := enterNetwork(pid)
		if err != nil {
			done <- result{err: err}
			return
		}
		// An address that is no name is dialled by this goroutine itself.
		conn, err := dialer.DialContext(ctx, network, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// enterNetwork moves the calling thread into the network namespace of a process.
func enterNetwork(pid int) error {
	ns, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return err
	}
	return errors.Join(unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET), ns.Close())
}
