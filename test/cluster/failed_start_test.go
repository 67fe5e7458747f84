package cluster_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// tempFolder makes clusters keep their folders in one of the test's own.
func tempFolder(t *testing.T) (left func() []os.DirEntry) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return func() []os.DirEntry {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
}

func TestComponentThatDies(t *testing.T) {
	assets := t.TempDir()
	program := "#!/bin/sh\necho listening is forbidden today\nexit 3\n"
	if err := os.WriteFile(filepath.Join(assets, "kube-apiserver"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBEBUILDER_ASSETS", assets)
	left := tempFolder(t)
	c, err := cluster.Start(t.Context(), cluster.Options{Out: t.Output()})
	if err == nil {
		t.Fatal("started without an API server", c.Stop())
	}
	for _, want := range []string{"kube-apiserver", "exit status 3", "listening is forbidden today"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q, want %q in it", err, want)
		}
	}
	if got := left(); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestCancelledStart(t *testing.T) {
	left := tempFolder(t)
	stop := errors.New("somebody pressed Ctrl-C")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 1500*time.Millisecond, stop)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Options{Workers: 1})
	if err == nil {
		t.Fatal("started in no time", c.Stop())
	}
	if !errors.Is(err, stop) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's cause", err)
	}
	if got := left(); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts cluster.Options
		want string
	}{
		"too many workers":                       {cluster.Options{Workers: 201}, "workers: 201 is not between 0 and 200"},
		"too many real ones":                     {cluster.Options{Real: true, Workers: 21}, "workers: 21 is not between 0 and 20"},
		"images for simulated ones":              {cluster.Options{Images: []string{"/image.tar"}}, "images: simulated workers run none"},
		"real ones in an existing control plane": {cluster.Options{Real: true, ExistingKubeconfig: "/nowhere/kubeconfig"}, "real workers cannot be added to an existing cluster"},
		"a negative number":                      {cluster.Options{Workers: -1}, "workers: -1 is not between 0 and 200"},
		"grace below lease":                      {cluster.Options{NodeMonitorGracePeriod: time.Second}, "node monitor grace period: 1s is below 5s"},
		"negative period":                        {cluster.Options{NodeMonitorPeriod: -time.Second}, "node monitor period: -1s is negative"},
		"no such kubeconfig": {
			cluster.Options{ExistingKubeconfig: "/nowhere/kubeconfig"}, "/nowhere/kubeconfig: no such file",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := cluster.Start(t.Context(), tc.opts)
			if err == nil {
				t.Fatal("started", c.Stop())
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q, want %q in it", err, tc.want)
			}
		})
	}
}
