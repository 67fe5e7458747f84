package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/test/drill/record"
)

func TestLoad(t *testing.T) {
	tests := map[string]struct {
		loadavg string
		links   []string
		want    *record.Load
	}{
		"two clusters":           {"12.98 13.14 14.48 3/1801 4711\n", []string{"lo", "mainstay0", "mainstay12", "ms0w1"}, &record.Load{Before: 12.98, After: 12.98, Clusters: 2}},
		"a system without /proc": {"", nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h := host{loadavg: filepath.Join(dir, "loadavg"), links: filepath.Join(dir, "net")}
			for _, link := range test.links {
				if err := os.MkdirAll(filepath.Join(h.links, link), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(h.loadavg, []byte(test.loadavg), 0o600); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, h.load()); diff != "" {
				t.Errorf("load (-want +got):\n%s", diff)
			}
		})
	}
}
