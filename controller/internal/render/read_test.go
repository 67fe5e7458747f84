package render

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// planted makes a folder of the given files, and in it what plant makes.
func planted(t *testing.T, files map[string]string, name string, plant func(at string) error) string {
	t.Helper()
	dir := writeTree(t, files)
	if err := plant(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A distribution is read to its end, and nothing beside it.
func TestHostileDistributions(t *testing.T) {
	t.Parallel()
	outside := writeTree(t, map[string]string{"secret.yaml": "a: b\n"})
	fifo := func(at string) error { return syscall.Mkfifo(at, 0o600) }
	link := func(to string) func(string) error { return func(at string) error { return os.Symlink(to, at) } }
	bomb := func(at string) error {
		return os.WriteFile(at, []byte("apiVersion: v1\ndata:\n"+laughs("  ")), 0o600)
	}
	sparse := func(at string) error {
		if err := os.WriteFile(at, nil, 0o600); err != nil {
			return err
		}
		return os.Truncate(at, 17<<20)
	}
	base := map[string]string{"rbac.yaml": "a: b\n", "source-controller.yaml": "a: b\n"}
	for title, tc := range map[string]struct {
		name  string
		plant func(at string) error
		file  bool // is named itself, else its folder is
		want  string
	}{
		"a FIFO":                    {name: "c.yaml", plant: fifo, file: true, want: "it is not a regular file"},
		"a device":                  {name: "c.yaml", plant: link("/dev/zero"), file: true, want: "it is not a regular file"},
		"too much":                  {name: "c.yaml", plant: sparse, file: true, want: "it has more than the 16777216 bytes that one file may have"},
		"laughs":                    {name: "c.yaml", plant: bomb, file: true, want: "line 9: its YAML has more than 2000000 nodes, each alias counted as what it stands for"},
		"a FIFO in the folder":      {name: "policies.yaml", plant: fifo, want: "read policies of Flux v2.9.4: it is not a regular file"},
		"a device in the folder":    {name: "policies.yaml", plant: link("/dev/zero"), want: "read policies of Flux v2.9.4: path escapes from parent"},
		"a file outside":            {name: "policies.yaml", plant: link(filepath.Join(outside, "secret.yaml")), want: "read policies of Flux v2.9.4: path escapes from parent"},
		"too much in the folder":    {name: "policies.yaml", plant: sparse, want: "read policies of Flux v2.9.4: it has more than the 16777216 bytes that one file may have"},
		"laughs in the folder":      {name: "policies.yaml", plant: bomb, want: "read policies of Flux v2.9.4: line 9: its YAML has more than 2000000 nodes, each alias counted as what it stands for"},
		"a version that is outside": {name: "flux", plant: link(outside), want: "read the folder: path escapes from parent"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			files := base
			if tc.file || tc.name == "flux" {
				files = nil
			}
			source := planted(t, files, tc.name, tc.plant)
			if tc.file {
				source = filepath.Join(source, tc.name)
			}
			root := writeTree(t, map[string]string{"flux.yaml": strings.Replace(validInstance, "2.9.x", "2.9.4", 1)})
			_, err := Render(t.Context(), Options{Path: root, Root: root, Distribution: source})
			mistake(t, err, "")
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want … %s", err, tc.want)
			}
		})
	}
}

func TestSymlinksInADistribution(t *testing.T) {
	t.Parallel()
	dir := planted(t, map[string]string{"rbac.yaml": "a: b\n", "source-controller.yaml": "a: b\n"}, "policies.yaml",
		func(at string) error { return os.Symlink("rbac.yaml", at) })
	d, err := openDistribution(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if content, err := d.base("", "policies"); err != nil || string(content) != "a: b\n" {
		t.Errorf("read %q, %v", content, err)
	}
}
