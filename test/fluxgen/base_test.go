package fluxgen

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLocalise(t *testing.T) {
	t.Parallel()
	const address = "https://github.com/fluxcd/source-controller/releases/download/"
	for name, tc := range map[string]struct {
		resources []string
		want      []string
		wantErr   string
	}{
		"release files become folders": {
			resources: []string{address + "v1.9.5/source-controller.crds.yaml", address + "v1.9.5/source-controller.deployment.yaml", "account.yaml"},
			want:      []string{"- ../../modules/source-controller/crd\n", "- ../../modules/source-controller/manager\n", "- account.yaml\n"},
		},
		"another version than the module's": {
			resources: []string{address + "v1.9.6/source-controller.crds.yaml"},
			wantErr:   "flux2 installs version v1.9.6 and the module is v1.9.5",
		},
		"a file that no folder stands for": {
			resources: []string{address + "v1.9.5/source-controller.sbom.yaml"},
			wantErr:   "source-controller.sbom.yaml, which no folder of the module stands for",
		},
		"nothing to replace": {
			resources: []string{"account.yaml"},
			wantErr:   "names no release file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := "kind: Kustomization\nresources:\n- " + strings.Join(tc.resources, "\n- ") + "\n"
			got, err := localise([]byte(content), "source-controller", "v1.9.5")
			switch {
			case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
				t.Errorf("error = %v\nwant … %s …", err, tc.wantErr)
			case tc.wantErr == "" && err != nil:
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(string(got), want) {
					t.Errorf("got:\n%s\nwant a line %s", got, want)
				}
			}
		})
	}
}

func TestDistributedIsTheNewestOfTheSameMinor(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		have    []string
		want    string
		wantErr string
	}{
		"a patch version behind":         {have: []string{"v2.9.4", "v2.9.10", "v2.9.3", "v2.10.0", "v2.8.8", "notes"}, want: "v2.9.4"},
		"the same version":               {have: []string{"v2.9.4", "v2.9.5"}, want: "v2.9.5"},
		"none of that minor version":     {have: []string{"v2.8.8", "v2.10.0"}, wantErr: "there is no distribution of Flux 2.9 up to v2.9.5"},
		"only newer ones":                {have: []string{"v2.9.6"}, wantErr: "there is no distribution of Flux 2.9 up to v2.9.5"},
		"none at all, not even a folder": {wantErr: "reading the distributions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, version := range tc.have {
				folder := filepath.Join(dir, "config", "data", "flux", version)
				if err := os.MkdirAll(folder, 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, "source-watcher.yaml"), []byte(version), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			b := builder{modules: map[string]module{flux2Module: {Version: "v2.9.5"}, distributionModule: {Dir: dir}}}
			got, err := b.distributed("source-watcher")
			switch {
			case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
				t.Errorf("error = %v\nwant … %s …", err, tc.wantErr)
			case tc.wantErr == "" && err != nil:
				t.Fatal(err)
			case string(got) != tc.want:
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
