package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// socket is where Init takes orders. It lies on the worker's /run, so it ends with
// the worker; from outside it is reached through the init process's root folder.
const socket = "/run/mainstay.sock"

// controlTimeout bounds one order.
const controlTimeout = 10 * time.Second

// PID returns the id of the init process of the worker in dir, 0 when it is off.
func PID(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, pidFile))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading a worker's process id: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("reading a worker's process id: %w", err)
	}
	return pid, nil
}

// Control has the worker whose init process is pid hold or release a component. It
// returns when that is done.
func Control(ctx context.Context, pid int, verb, component string) error {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/%d/root%s", pid, socket))
	if err != nil {
		return fmt.Errorf("giving the worker an order: %w", err)
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("giving the worker an order: %w", err)
	}
	if _, err := fmt.Fprintf(conn, "%s %s\n", verb, component); err != nil {
		return fmt.Errorf("giving the worker an order: %w", err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("waiting for the worker's answer: %w", err)
	}
	if answer = strings.TrimSpace(answer); answer != "done" {
		return fmt.Errorf("the worker says: %s", answer)
	}
	return nil
}
