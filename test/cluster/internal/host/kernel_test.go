package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeKernel has every setting but those of a module that is not loaded.
func fakeKernel(t *testing.T) kernel {
	t.Helper()
	k := kernel{sysctl: t.TempDir(), state: t.TempDir()}
	for name := range changed() {
		if filepath.Dir(name) == "net/bridge" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(k.sysctl, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		change(t, k, name, "former")
	}
	return k
}

// change is what an administrator does.
func change(t *testing.T, k kernel, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(k.sysctl, name), []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// values are the settings of the fake kernel.
func values(t *testing.T, k kernel) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name := range changed() {
		if text, err := k.read(name); err == nil {
			all[name] = text
		} else if !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return all
}

func TestKernelIsRestored(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		meanwhile  func(t *testing.T, k kernel)
		unrestored map[string]string // those that keep what they have meanwhile
		kept       bool              // that settings are noted
	}{
		"one cluster": {meanwhile: func(*testing.T, kernel) {}},
		"a second cluster starts": {meanwhile: func(t *testing.T, k kernel) {
			t.Helper()
			if err := k.set(t.Context()); err != nil {
				t.Error(err)
			}
		}},
		"an administrator changes one": {
			meanwhile:  func(t *testing.T, k kernel) { t.Helper(); change(t, k, "kernel/panic", "60") },
			unrestored: map[string]string{"kernel/panic": "60"},
		},
		"another cluster is left": {
			meanwhile: func(t *testing.T, k kernel) {
				t.Helper()
				lock, err := tryLock(filepath.Join(k.state, "7"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = lock.Close() })
			},
			unrestored: changed(),
			kept:       true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := fakeKernel(t)
			want, set := values(t, k), map[string]string{}
			for name := range want {
				set[name] = changed()[name]
			}
			if err := k.set(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(set, values(t, k)); diff != "" {
				t.Errorf("while the cluster runs: -want +got\n%s", diff)
			}
			tc.meanwhile(t, k)
			if err := k.restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			for name, value := range tc.unrestored {
				if _, ok := want[name]; ok {
					want[name] = value
				}
			}
			if diff := cmp.Diff(want, values(t, k)); diff != "" {
				t.Errorf("after it: -want +got\n%s", diff)
			}
			if _, err := os.Stat(filepath.Join(k.state, savedFile)); (err == nil) != tc.kept {
				t.Errorf("the noted settings: %v, want them kept: %t", err, tc.kept)
			}
		})
	}
}
