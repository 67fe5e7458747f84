package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

const (
	loopback       = "127.0.0.1"
	firstServiceIP = "10.96.0.1"
	dnsServiceIP   = "10.96.0.10"
	serviceRange   = "10.96.0.0/16"
)

// Ports are chosen below the range that operating systems give to outgoing
// connections (32768 and up on Linux): a port from that range could be taken by any
// client between its choice and its use, or while the API server is stopped.
const (
	portLow   = 12000
	portHigh  = 32000
	portTries = 100
)

// FreePorts returns n different ports that nothing listens on.
func FreePorts(n int) ([]int, error) {
	var ports []int
	seen := map[int]bool{}
	for range portTries * n {
		if len(ports) == n {
			break
		}
		port := portLow + rand.IntN(portHigh-portLow)
		if seen[port] {
			continue
		}
		seen[port] = true
		listener, err := net.Listen("tcp", hostPort(port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return nil, fmt.Errorf("choosing a port: %w", err)
		}
		ports = append(ports, port)
	}
	if len(ports) < n {
		return nil, fmt.Errorf("no %d free ports on %s between %d and %d", n, loopback, portLow, portHigh)
	}
	return ports, nil
}

func hostPort(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }
