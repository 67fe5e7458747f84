package node

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/mainstay-dev/mainstay/test/cluster/internal/host"
)

// Init is the first process of the worker in dir. It returns only with an error.
func Init(dir string) error {
	for fd := aliveFD; fd <= goFD; fd++ {
		syscall.CloseOnExec(fd)
	}
	word := os.NewFile(goFD, "go")
	if _, err := bufio.NewReader(word).ReadString('\n'); err != nil {
		return fmt.Errorf("waiting for the word to go on: %w", err)
	}
	_ = word.Close()
	config, err := Read(dir)
	if err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(config.Name)); err != nil {
		return fmt.Errorf("naming the host: %w", err)
	}
	if err := mountAll(dir); err != nil {
		return err
	}
	if err := network(config); err != nil {
		return err
	}
	// containerd looks for runc, and kube-proxy for nft, where a user's PATH may not.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"); err != nil {
		return fmt.Errorf("completing PATH: %w", err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listening for orders: %w", err)
	}
	// From here on every process that ends is waited for by the supervisor.
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	s := newSupervisor(config)
	go s.serve(listener)
	return s.run(ended)
}

// mountAll makes the worker's own view of the machine: its processes, an empty /run,
// and its disk, all of which Replaced lists. The rest is the machine's.
func mountAll(dir string) error {
	type mount struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}
	mounts := []mount{
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE, ""},
		{"proc", "/proc", "proc", 0, ""},
		{"tmpfs", "/run", "tmpfs", 0, "mode=755"},
		{Disk(dir, "lib"), "/var/lib", "", syscall.MS_BIND, ""},
		{Disk(dir, "log"), "/var/log", "", syscall.MS_BIND, ""},
		// Pods see mounts that the kubelet makes later.
		{"", "/", "", syscall.MS_REC | syscall.MS_SHARED, ""},
	}
	for _, m := range mounts {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting %s at %s: %w", m.source, m.target, err)
		}
	}
	for _, d := range []string{"/run/containerd", "/run/netns", "/run/lock"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("making %s: %w", d, err)
		}
	}
	return nil
}

// network gives eth0 its address, and routes to the pods of the other workers.
func network(config Config) error {
	instance := config.instance()
	var batch strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&batch, format+"\n", args...) }
	line("link set lo up")
	line("address add %s/24 dev eth0", instance.WorkerIP(config.Number))
	line("link set eth0 up")
	line("route add default via %s", instance.HostIP())
	for other := 1; other <= config.Workers; other++ {
		if other != config.Number {
			line("route add %s via %s", instance.PodCIDR(other), instance.WorkerIP(other))
		}
	}
	cmd := exec.Command(host.Find("ip"), "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("setting up the network: %w: %s", err, out)
	}
	for name, value := range map[string]string{
		"net/ipv4/ip_forward": "1",
		// Traffic between pods of one worker passes kube-proxy's rules too.
		"net/bridge/bridge-nf-call-iptables": "1",
	} {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("setting up the network: %w", err)
		}
	}
	return nil
}

// serve takes orders, one for each connection.
func (s *supervisor) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			text, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil {
				return
			}
			verb, component, _ := strings.Cut(strings.TrimSpace(text), " ")
			o := order{verb: verb, component: component, answer: make(chan string, 1)}
			s.orders <- o
			_, _ = io.WriteString(conn, <-o.answer+"\n")
		}()
	}
}
