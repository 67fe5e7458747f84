package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// freePort is one that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	nobody := freePort(t)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	content := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"https://" + nobody + "\"}}]\n" +
		"users: [{name: u, user: {token: not-a-secret}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"
	if err := os.WriteFile(kubeconfig, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		want []string
	}{
		"lease below the renew deadline": {
			args: []string{"controller", "--pod-name=a", "--leader-election-lease-duration=5s"},
			want: []string{`--leader-election-lease-duration: Invalid value: "5s": must be greater than --leader-election-renew-deadline (10s)`},
		},
		"no such kubeconfig": {
			args: []string{"controller", "--pod-name=a", "--kubeconfig=/does/not/exist"},
			want: []string{"load the kubeconfig /does/not/exist: stat /does/not/exist: no such file or directory"},
		},
		"a kubeconfig that points nowhere": {
			args: []string{"controller", "--pod-name=a", "--kubeconfig=" + kubeconfig},
			want: []string{"reach the API server at https://" + nobody, "connection refused", "check --kubeconfig"},
		},
		"no cluster at all": {
			args: []string{"controller", "--pod-name=a"},
			want: []string{"find a cluster:", "pass --kubeconfig, set KUBECONFIG, or run in a pod"},
		},
		"unknown flag": {args: []string{"controller", "--leader-elekt"}, want: []string{"unknown flag: --leader-elekt"}},
		"unknown verb": {args: []string{"controler"}, want: []string{`unknown command "controler"`}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cmd := newCommand()
			cmd.SetArgs(tc.args)
			cmd.SetOut(&bytes.Buffer{})
			cmd.SetErr(&bytes.Buffer{})
			err := cmd.ExecuteContext(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want it to contain %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "not-a-secret") {
				t.Errorf("error %q shows a credential", err)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs([]string{"version"})
	cmd.SetOut(&out)
	if err := cmd.ExecuteContext(t.Context()); err != nil || out.String() != version+"\n" {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}
