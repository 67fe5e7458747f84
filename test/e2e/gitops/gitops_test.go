package gitops

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/test/gitserver"
)

func clone(t *testing.T, url string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	if out, err := exec.Command("git", "clone", "--quiet", url, dir).CombinedOutput(); err != nil {
		t.Fatalf("git clone %s: %v: %s", url, err, out)
	}
	return dir
}

func tracked(t *testing.T, dir string) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", dir, "ls-files").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func TestCreateAndUninstall(t *testing.T) {
	ctx := context.Background()
	server, err := gitserver.Start(ctx, gitserver.Options{Address: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	repos, err := Create(ctx, server, filepath.Join("..", "..", ".."), 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}

	files := tracked(t, clone(t, repos.Project.URL()))
	for _, want := range []string{"manifests/base/deployment.yaml", "manifests/rules/lifeline-flux.yaml", "patches/flux-ha/kustomization.yaml", "clusters/local/kustomization.yaml"} {
		if !slices.Contains(files, want) {
			t.Errorf("the project's repository lacks %s", want)
		}
	}
	want := []string{
		"cluster/kustomization.yaml", "cluster/mainstay/kustomization.yaml", "cluster/mainstay/mainstay.yaml",
		"cluster/mainstay/rules.yaml", "cluster/mainstay/source.yaml",
	}
	if diff := cmp.Diff(want, tracked(t, clone(t, repos.User.URL()))); diff != "" {
		t.Errorf("the user's repository (-want +got):\n%s", diff)
	}

	if err := repos.Uninstall(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"cluster/kustomization.yaml"}, tracked(t, clone(t, repos.User.URL()))); diff != "" {
		t.Errorf("the user's repository after the removal (-want +got):\n%s", diff)
	}
	if err := repos.Install(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, tracked(t, clone(t, repos.User.URL()))); diff != "" {
		t.Errorf("the user's repository, installed again (-want +got):\n%s", diff)
	}
}

func TestPointAt(t *testing.T) {
	tests := map[string]struct {
		manifest, want, wantErr string
	}{
		"what is not about the place stays": {
			manifest: "apiVersion: v1\nkind: GitRepository\nmetadata:\n  name: a\nspec:\n  interval: 10m\n  ref:\n    semver: \">=1\"\n  sparseCheckout:\n  - x\n  url: https://b\n",
			want:     "apiVersion: v1\nkind: GitRepository\nmetadata:\n  name: a\nspec:\n  interval: 2s\n  ref:\n    branch: main\n  sparseCheckout:\n  - x\n  url: http://c\n",
		},
		"another kind": {
			manifest: "kind: Bucket\nspec: {}\n",
			wantErr:  "it holds a Bucket without a spec, want a GitRepository",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := pointAt([]byte(test.manifest), "http://c", "main", 2*time.Second)
			if test.wantErr != "" {
				if err == nil || err.Error() != test.wantErr {
					t.Fatalf("got %v, want %s", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("manifest (-want +got):\n%s", diff)
			}
		})
	}
}
