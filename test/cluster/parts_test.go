package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseAudit(t *testing.T) {
	t.Parallel()
	const line = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"get"}`
	tests := map[string]struct {
		text    string
		want    int
		wantErr string
	}{
		"empty":                           {},
		"two events":                      {text: line + "\n" + line + "\n", want: 2},
		"the last is still being written": {text: line + "\n" + line[:20], want: 1},
		"one that cannot be read":         {text: line + "\nrubbish\n", wantErr: "reading the audit log, line 2"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseAudit([]byte(tc.text))
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("error %v, want %q in it", err, tc.wantErr)
				}
				return
			}
			if err != nil || len(got) != tc.want {
				t.Errorf("got %d events, %v, want %d", len(got), err, tc.want)
			}
		})
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	text := strings.Repeat("early\n", 5000) + "late " + strings.Repeat("x", 1000) + " reason\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(tail(path), "\n")
	if len(lines) != tailLines {
		t.Errorf("%d lines, want %d", len(lines), tailLines)
	}
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, " reason") || len(last) > tailWidth+10 {
		t.Errorf("last line: %q", last)
	}
}

func TestFreePorts(t *testing.T) {
	t.Parallel()
	ports, err := FreePorts(50)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if port < portLow || port >= portHigh || seen[port] {
			t.Errorf("port %d is out of range or given twice", port)
		}
		seen[port] = true
	}
	if len(seen) != 50 {
		t.Errorf("%d ports, want 50", len(seen))
	}
}

func TestLeaseDuration(t *testing.T) {
	t.Parallel()
	for grace, want := range map[time.Duration]time.Duration{
		50 * time.Second: 40 * time.Second,
		5 * time.Second:  4 * time.Second,
		9 * time.Second:  7 * time.Second,
	} {
		if got := (Options{NodeMonitorGracePeriod: grace}).leaseDuration(); got != want {
			t.Errorf("grace %s: lease %s, want %s", grace, got, want)
		}
	}
}
