package cluster

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// archiveFile is a file in a docker archive.
type archiveFile struct{ name, text string }

func writeArchive(t *testing.T, files ...archiveFile) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	writer := tar.NewWriter(file)
	for _, f := range files {
		if err := writer.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write([]byte(f.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestStoreKey(t *testing.T) {
	t.Parallel()
	layer := archiveFile{"layer.tar", strings.Repeat("x", describing+1)}
	one := []archiveFile{{"config.json", "digest 1"}, layer, {"manifest.json", "one:v1"}}
	first := writeArchive(t, one...)
	other := writeArchive(t, archiveFile{"config.json", "digest 9"}, archiveFile{"manifest.json", "other:v1"})
	key := func(archives ...string) string {
		got, err := storeKey(archives)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	tests := map[string]struct {
		archives []string
		same     bool // as that of first and other
	}{
		"another order": {[]string{other, first}, true},
		"one twice":     {[]string{first, other, first}, true},
		"a copy of one": {[]string{writeArchive(t, one...), other}, true},
		"one only":      {[]string{first}, false},
		"other layers":  {[]string{writeArchive(t, archiveFile{"config.json", "digest 2"}, layer, one[2]), other}, false},
		"another name":  {[]string{writeArchive(t, one[0], layer, archiveFile{"manifest.json", "one:v2"}), other}, false},
	}
	want := key(first, other)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := key(tc.archives...); (got == want) != tc.same {
				t.Errorf("key %s, of the first two %s, want the same: %t", got, want, tc.same)
			}
		})
	}
	if _, err := storeKey([]string{writeArchive(t, layer)}); err == nil || !strings.Contains(err.Error(), "no docker archive") {
		t.Errorf("an archive of something else: %v", err)
	}
	if _, err := storeKey([]string{"/nowhere.tar"}); err == nil {
		t.Error("an archive that is not there has a key")
	}
}

func TestCopyStore(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	blob := "io.containerd.content.v1.content/blobs/sha256/1"
	layer := "io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/program"
	base := "io.containerd.metadata.v1.bolt/meta.db"
	for _, name := range []string{blob, layer, base} {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("program", filepath.Join(from, layer+"-link")); err != nil {
		t.Fatal(err)
	}
	if err := copyStore(from, to); err != nil {
		t.Fatal(err)
	}
	for name, linked := range map[string]bool{blob: true, layer: true, base: false} {
		original, err := os.Stat(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		made, err := os.Stat(filepath.Join(to, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := os.SameFile(original, made); got != linked {
			t.Errorf("%s is a link: %t, want %t", name, got, linked)
		}
		if made.Mode() != original.Mode() {
			t.Errorf("%s has mode %s, want %s", name, made.Mode(), original.Mode())
		}
		if text, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(text) != name {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if got, err := os.Readlink(filepath.Join(to, layer+"-link")); err != nil || got != "program" {
		t.Errorf("the symbolic link points to %q, %v", got, err)
	}
	folder, err := os.Stat(filepath.Join(to, filepath.Dir(layer)))
	if err != nil || folder.Mode().Perm() != 0o711 {
		t.Errorf("a layer's folder: %v, %v, want mode 0711", folder.Mode(), err)
	}
}

func TestReservations(t *testing.T) {
	t.Parallel()
	quantity := resource.MustParse
	capacity := newCapacity(4, 8<<30)
	tests := map[string]struct {
		wanted corev1.ResourceList
		want   map[string]string
	}{
		"nothing is wanted":        {nil, map[string]string{}},
		"less than there is":       {corev1.ResourceList{corev1.ResourceCPU: quantity("1500m"), corev1.ResourceMemory: quantity("6Gi")}, map[string]string{"cpu": "2500m", "memory": "2Gi"}},
		"all that there is":        {corev1.ResourceList{corev1.ResourceCPU: quantity("4")}, map[string]string{}},
		"more than there is":       {corev1.ResourceList{corev1.ResourceCPU: quantity("8"), corev1.ResourceMemory: quantity("7Gi")}, map[string]string{"memory": "1Gi"}},
		"what nothing is kept for": {corev1.ResourceList{corev1.ResourcePods: quantity("10")}, map[string]string{}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, reservations(tc.wanted, capacity)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
