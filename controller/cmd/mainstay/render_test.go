package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRender(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"kustomization.yaml":       "namespace: ns\nresources:\n- a.yaml\n",
		"a.yaml":                   "# a comment\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n",
		"my apps/a\nb: c (1).yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n",
		"bad/flux.yaml":            "apiVersion: fluxcd.controlplane.io/v1\nkind: FluxInstance\nmetadata:\n  name: flux\n  namespace: flux-system\nspec:\n  distribution:\n    registry: ghcr.io/fluxcd\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const a = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: ns\n"
	const b = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n  namespace: ns\n"
	for name, tc := range map[string]struct {
		args     []string
		want     string
		wantErr  string
		wantCode int
	}{
		"a stream of YAML": {args: []string{root}, want: a + "---\n" + b},
		"with origins": {
			args: []string{root, "--origins", "--root", root},
			want: "# path: a.yaml:7\n" + a + "---\n# path: a.yaml:2\n" + b,
		},
		"with origins whose names have blanks": {
			args: []string{filepath.Join(root, "my apps"), "--origins", "--root", root},
			want: "# path: \"my apps/a\\nb: c (1).yaml:1\"\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n",
		},
		"a list as JSON, with names that have blanks": {
			args: []string{filepath.Join(root, "my apps"), "--origins", "--root", root, "-o", "json"},
			want: `{
    "apiVersion": "v1",
    "items": [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "annotations": {
                    "config.kubernetes.io/origin": "path: \"my apps/a\\nb: c (1).yaml:1\""
                },
                "name": "a"
            }
        }
    ],
    "kind": "List"
}
`,
		},
		"a list as JSON": {
			args: []string{filepath.Join(root, "a.yaml"), "-o", "json", "--origins"},
			want: `{
    "apiVersion": "v1",
    "items": [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "annotations": {
                    "config.kubernetes.io/origin": "path: a.yaml:7"
                },
                "name": "a"
            }
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "annotations": {
                    "config.kubernetes.io/origin": "path: a.yaml:2"
                },
                "name": "b"
            }
        }
    ],
    "kind": "List"
}
`,
		},
		"a FluxInstance that is wrong": {
			args:    []string{filepath.Join(root, "bad")},
			wantErr: "flux.yaml:8: FluxInstance flux-system/flux: spec.distribution.version is required", wantCode: 2,
		},
		"a path that is not there": {args: []string{"/does/not/exist"}, wantErr: "find /does/not/exist: no such file or directory", wantCode: 2},
		"no path":                  {wantErr: "accepts 1 arg(s), received 0\nsee mainstay render --help", wantCode: 2},
		"an unknown output":        {args: []string{root, "-o", "xml"}, wantErr: `--output is "xml", want yaml or json`, wantCode: 2},
		"an unknown flag":          {args: []string{root, "--distribution-of"}, wantErr: "unknown flag: --distribution-of\nsee mainstay render --help", wantCode: 2},
		"a root that is elsewhere": {
			args:    []string{filepath.Join(root, "a.yaml"), "--root", filepath.Join(root, "bad")},
			wantErr: filepath.Join(root, "a.yaml") + " is outside of the root " + filepath.Join(root, "bad"), wantCode: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			cmd := newCommand()
			cmd.SetArgs(append([]string{"render"}, tc.args...))
			cmd.SetOut(&out)
			cmd.SetErr(&bytes.Buffer{})
			err := cmd.ExecuteContext(t.Context())
			if tc.wantErr != "" {
				if err == nil || err.Error() != tc.wantErr || exitCode(err) != tc.wantCode {
					t.Errorf("error = %v with code %d\nwant    %s with code %d", err, exitCode(err), tc.wantErr, tc.wantCode)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, out.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
		})
	}
}
