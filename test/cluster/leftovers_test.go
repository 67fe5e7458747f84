package cluster_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// envChild makes TestChild start a cluster and do what its value says.
const envChild = "MAINSTAY_TEST_CHILD"

// TestChild is not a test of its own: the tests below run it in another process.
func TestChild(t *testing.T) {
	mode := os.Getenv(envChild)
	if mode == "" {
		t.Skip("runs as the child of other tests")
	}
	mode, real := strings.CutPrefix(mode, "real ")
	c, err := cluster.Start(t.Context(), cluster.Options{Workers: 1, KeepRunning: mode == "keep", Real: real})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stdout.WriteString("dir=" + c.Dir() + "\n"); err != nil {
		t.Fatal(err)
	}
	if mode == "hang" {
		select {}
	}
}

// child runs TestChild in a process of its own and returns the folder of its cluster.
func child(t *testing.T, mode string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), envChild+"="+mode)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if dir, ok := strings.CutPrefix(lines.Text(), "dir="); ok {
			return cmd, dir
		}
		t.Log(lines.Text())
	}
	t.Fatal("the child started no cluster")
	return nil, ""
}

// processesOf counts the processes that have the folder in their command line.
func processesOf(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), dir) {
			count++
		}
	}
	return count
}

func TestNothingIsLeftOfAKilledOwner(t *testing.T) {
	t.Parallel()
	simulated(t)
	cmd, dir := child(t, "hang")
	// etcd, API server, controllers, scheduler, a worker, anchor and watchdog
	if got := processesOf(t, dir); got < 6 {
		t.Fatalf("%d processes while the owner lives, want at least 6", got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed, and says so
	eventually(t, func(context.Context) string {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			return "the folder is left"
		}
		if processesOf(t, dir) > 0 {
			return "processes are left"
		}
		return ""
	})
}

func TestKeepRunning(t *testing.T) {
	t.Parallel()
	simulated(t)
	cmd, dir := child(t, "keep")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clientOf(t, cfg).CoreV1().Nodes().Get(t.Context(), "worker-1", metav1.GetOptions{}); err != nil {
		t.Errorf("after the owner's end: %v", err)
	}
	if err := cluster.StopDir(dir); err != nil {
		t.Fatal(err)
	}
	if got := processesOf(t, dir); got != 0 {
		t.Errorf("%d processes are left", got)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
	if err := cluster.StopDir(dir); err == nil || !strings.Contains(err.Error(), "no cluster is there") {
		t.Errorf("stopping it twice: %v", err)
	}
}
