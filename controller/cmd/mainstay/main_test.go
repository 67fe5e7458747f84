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

// What is wrong with the words of a command line ends with 2: 1 is what a check found.
func TestUsage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"unknown verb":              {[]string{"deploy"}, "unknown command \"deploy\"\nsee mainstay --help"},
		"a slip in a verb":          {[]string{"controler"}, "unknown command \"controler\", did you mean controller?\nsee mainstay --help"},
		"unknown flag of all verbs": {[]string{"--verbose"}, "unknown flag: --verbose\nsee mainstay --help"},
		"unknown flag":              {[]string{"controller", "--leader-elekt"}, "unknown flag: --leader-elekt\nsee mainstay controller --help"},
		"unknown flag of render":    {[]string{"render", ".", "--rot"}, "unknown flag: --rot\nsee mainstay render --help"},
		"a value of no number":      {[]string{"check", ".", "--workers=x"}, "invalid argument \"x\" for \"--workers\" flag: strconv.ParseInt: parsing \"x\": invalid syntax\nsee mainstay check --help"},
		"no path to check":          {[]string{"check"}, "requires at least 1 arg(s), only received 0\nsee mainstay check --help"},
		"two paths to render":       {[]string{"render", "a", "b"}, "accepts 1 arg(s), received 2\nsee mainstay render --help"},
		"no reason to unlock":       {[]string{"unlock"}, "a reason must be given, --reason on the command line: whoever finds the gates open reads it\nsee mainstay unlock --help"},
		"no namespace to lock":      {[]string{"lock", "-n", "a/b"}, "namespace \"a/b\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')\nsee mainstay lock --help"},
		"an argument of none":       {[]string{"controller", "x"}, "unknown command \"x\" for \"mainstay controller\"\nsee mainstay controller --help"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := newCommand()
			cmd.SetArgs(tc.args)
			cmd.SetOut(&bytes.Buffer{})
			cmd.SetErr(&bytes.Buffer{})
			err := cmd.ExecuteContext(t.Context())
			if err == nil || err.Error() != tc.want || exitCode(err) != exitCannot {
				t.Errorf("error %q, want %q with exit code %d", err, tc.want, exitCannot)
			}
		})
	}
}

func TestNoVerbPrintsTheHelp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs([]string{})
	cmd.SetOut(&out)
	if err := cmd.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "Available Commands") {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs([]string{"version"})
	cmd.SetOut(&out)
	if err := cmd.ExecuteContext(t.Context()); err != nil || out.String() != programVersion()+"\n" {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}

func TestVersionOf(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ linked, module, want string }{
		"make build":                    {"v0.1.0", "v0.1.1-0.20260101000000-0123456789ab+dirty", "v0.1.0"},
		"go install of a release":       {"dev", "v0.1.0", "v0.1.0"},
		"go build in a checkout":        {"dev", "v0.1.1-0.20260101000000-0123456789ab", "v0.1.1-0.20260101000000-0123456789ab"},
		"go build without Git":          {"dev", "(devel)", "dev"},
		"go build without build's info": {"dev", "", "dev"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := versionOf(tc.linked, tc.module); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// What ends a run may quote a file that is anybody's.
func TestNoMessageIsACommand(t *testing.T) {
	t.Parallel()
	got := printable("read a.yaml: bad\x1b[31m\n  ::error title=x::y\nand ##[group]z\n    line 2")
	want := "read a.yaml: bad [31m\n  : :error title=x::y\n  and ## [group]z\n      line 2"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
