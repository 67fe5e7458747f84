package images

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A key stands for all that is in the image, and for nothing else.
func TestKey(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(content) error
		same   bool
	}{
		"nothing":         {func(content) error { return nil }, true},
		"a time":          {func(c content) error { return os.Chtimes(c.files[0].source, time.Unix(1, 0), time.Unix(1, 0)) }, true},
		"a mode":          {func(c content) error { return os.Chmod(c.files[0].source, 0o600) }, false},
		"the text":        {func(c content) error { return os.WriteFile(c.files[0].source, []byte("#!/bin/not\n"), 0o600) }, false},
		"a new file":      {func(c content) error { return os.WriteFile(c.files[1].source+"/new", nil, 0o600) }, false},
		"the path":        {func(c content) error { c.files[0].path = "/program"; return nil }, false},
		"a name":          {func(c content) error { c.refs[0] = "registry.test/sample:v0"; return nil }, false},
		"the entry point": {func(c content) error { c.entrypoint[0] = "/program"; return nil }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sample(t)
			before, err := c.key()
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.change(c); err != nil {
				t.Fatal(err)
			}
			after, err := c.key()
			if err != nil {
				t.Fatal(err)
			}
			if (before == after) != tc.same {
				t.Errorf("key %s before and %s after", before, after)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestStoreKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := time.Now().Add(-kept - time.Hour)
	for name, used := range map[string]time.Time{
		"sample-used.tar": time.Now(), "sample-unused.tar": old, "another-unused.tar": old,
	} {
		path := filepath.Join(dir, name)
		write(t, path, "")
		if err := os.Chtimes(path, used, used); err != nil {
			t.Fatal(err)
		}
	}
	b := &builder{out: io.Discard}
	work := t.TempDir()
	made, err := b.store(t.Context(), "sample", sample(t), dir, work)
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		made:                                     true,
		filepath.Join(dir, "sample-used.tar"):    true,
		filepath.Join(dir, "another-unused.tar"): true,
	}
	got := map[string]bool{}
	for _, n := range names {
		got[n] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("archives (-want +got):\n%s", diff)
	}

	// What is there is not written again, and is in use.
	if err := os.Chtimes(made, old, old); err != nil {
		t.Fatal(err)
	}
	write(t, made, "as it was")
	if err := os.Chtimes(made, old, old); err != nil {
		t.Fatal(err)
	}
	again, err := b.store(t.Context(), "sample", sample(t), dir, work)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(made)
	if err != nil {
		t.Fatal(err)
	}
	if again != made || string(text) != "as it was" || !info.ModTime().After(old.Add(kept)) {
		t.Errorf("%s with %q of %s, want %s as it was, marked as used", again, text, info.ModTime(), made)
	}
}
