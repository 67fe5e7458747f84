package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// follower is a Kustomization of Flux that follows a GitRepository.
func follower(name, path, source, more string) string {
	return "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " + name + ", namespace: flux-system}\nspec:\n" +
		"  path: " + path + "\n  sourceRef: {kind: GitRepository, name: " + source + "}\n" + more + "---\n"
}

// fluxTree has a cluster with Kustomizations, and folders that they build.
func fluxTree(t *testing.T, postBuild string) string {
	t.Helper()
	return treeOf(t, map[string]string{
		"clusters/prod/flux.yaml": follower("apps", "./apps", "flux-system", postBuild) + follower("infra", "infra/", "flux-system", ""),
		"infra/c.yaml":            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
		"apps/d.yaml":             "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: web}\nspec: {replicas: '${REPLICAS}'}\n",
	})
}

// treeOf is a folder with files.
func treeOf(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// commit puts all that a folder holds into a Git repository.
func commit(t *testing.T, root string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-qm", "one"}} {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", root, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, text)
		}
	}
}

// said are the messages of a check's findings and notes.
func said(t *testing.T, args ...string) (findings, notes []string) {
	t.Helper()
	report := reported(t, args...)
	for _, f := range report.Findings {
		findings = append(findings, string(f.State)+f.Message)
	}
	for _, n := range report.Notes {
		notes = append(notes, n.Message)
	}
	return findings, notes
}

// reported is the report of a check without rules.
func reported(t *testing.T, args ...string) *check.Report {
	t.Helper()
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs(append([]string{"check", "--rules=none", "--fail-on=never", "-o=json"}, args...))
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	report := &check.Report{}
	if err := json.Unmarshal(out.Bytes(), report); err != nil {
		t.Fatal(err)
	}
	return report
}

func TestWhatFluxKustomizationsBuild(t *testing.T) {
	t.Parallel()
	const infra = "path ./infra of Kustomization flux-system/infra is not checked here: add it to the command line"
	const unknown = "apps/v1/Deployment web/web: Flux substitutes REPLICAS, with a value that is not in what is checked here, so it is not known whether the API server takes it"
	for name, tc := range map[string]struct {
		postBuild              string
		paths                  []string
		wantFindings, wantNote []string
	}{
		"a value in Git":        {"  postBuild: {substitute: {REPLICAS: '2'}}\n", []string{"clusters/prod", "apps"}, nil, []string{infra}},
		"a value that is wrong": {"  postBuild: {substitute: {REPLICAS: two}}\n", []string{"apps", "clusters/prod"}, []string{"the API server would reject this Deployment: cannot unmarshal string into field spec.replicas"}, []string{infra}},
		"a value of a Secret":   {"  postBuild: {substituteFrom: [{kind: Secret, name: s}]}\n", []string{"clusters/prod", "apps", "infra"}, nil, []string{unknown}},
		"no value at all":       {"", []string{"clusters/prod", "apps", "infra"}, []string{"the API server would reject this Deployment: cannot unmarshal string into field spec.replicas"}, nil},
		"the cluster alone": {"", []string{"clusters/prod"}, nil, []string{
			"path ./apps of Kustomization flux-system/apps is not checked here: add it to the command line", infra,
		}},
		"the folder alone": {"", []string{"apps"}, nil, []string{unknown}},
		"patches of Flux": {"  postBuild: {substitute: {REPLICAS: '2'}}\n  patches: [{target: {kind: Deployment}, patch: '[]'}]\n", []string{"clusters/prod", "apps", "infra"}, nil, []string{
			"Kustomization flux-system/apps changes ./apps by spec.patches, which is not applied here",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := fluxTree(t, tc.postBuild)
			args := []string{"--root=" + root}
			for _, path := range tc.paths {
				args = append(args, filepath.Join(root, path))
			}
			findings, notes := said(t, args...)
			if diff := cmp.Diff([][]string{tc.wantFindings, tc.wantNote}, [][]string{findings, notes}); diff != "" {
				t.Errorf("findings and notes (-want +got):\n%s", diff)
			}
		})
	}
}

// The file of a kustomization stands for its folder.
func TestFileOfAKustomizationAsPath(t *testing.T) {
	t.Parallel()
	root := treeOf(t, map[string]string{
		"clusters/prod/flux.yaml": follower("apps", "./apps", "flux-system", "  targetNamespace: shop\n  images: [{name: web, newTag: v2}]\n  postBuild: {substitute: {REPLICAS: two}}\n"),
		"apps/kustomization.yaml": "resources: [d.yaml]\n",
		"apps/d.yaml":             "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: '${REPLICAS}'}\n",
	})
	commit(t, root)
	for _, more := range [][]string{nil, {"--against=HEAD"}} {
		folder := reported(t, append(more, filepath.Join(root, "clusters/prod"), filepath.Join(root, "apps"))...)
		file := reported(t, append(more, filepath.Join(root, "clusters/prod"), filepath.Join(root, "apps/kustomization.yaml"))...)
		if diff := cmp.Diff(folder, file, cmpopts.IgnoreUnexported(check.Report{})); diff != "" {
			t.Errorf("%v: report (-folder +file):\n%s", more, diff)
		}
		if len(folder.Findings)+folder.Unchanged != 1 || len(folder.Notes) != 1 {
			t.Errorf("%v: %+v, want one finding and one note", more, folder)
		}
	}
}

// The variables of each revision are those of its own Kustomizations.
func TestVariablesAgainstARevision(t *testing.T) {
	t.Parallel()
	root := fluxTree(t, "  postBuild: {substitute: {REPLICAS: '2'}}\n")
	commit(t, root)
	paths := []string{filepath.Join(root, "clusters/prod"), filepath.Join(root, "apps"), filepath.Join(root, "infra"), "--against=HEAD"}
	if findings, notes := said(t, paths...); len(findings)+len(notes) > 0 {
		t.Errorf("findings %q, notes %q; want none", findings, notes)
	}
	flux := filepath.Join(root, "clusters/prod/flux.yaml")
	content, err := os.ReadFile(flux)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flux, bytes.Replace(content, []byte("'2'"), []byte("two"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{"newthe API server would reject this Deployment: cannot unmarshal string into field spec.replicas"}
	if findings, notes := said(t, paths...); len(notes) > 0 || !cmp.Equal(want, findings) {
		t.Errorf("findings %q, notes %q; want %q and none", findings, notes, want)
	}
}

// What a Kustomization sets on what it builds is set, and what else it changes is told.
func TestFieldsOfFluxKustomizations(t *testing.T) {
	t.Parallel()
	const deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: two}\n"
	const all = "  targetNamespace: shop\n  namePrefix: a-\n  nameSuffix: -b\n"
	for name, tc := range map[string]struct {
		flux       string
		wantObject string
		wantNotes  []string
	}{
		"nothing":         {follower("apps", "./apps", "flux-system", ""), "apps/v1/Deployment default/web", nil},
		"all that is set": {follower("apps", "./apps", "flux-system", all), "apps/v1/Deployment shop/a-web-b", nil},
		"the same twice":  {follower("apps", "./apps", "flux-system", all) + follower("again", "./apps", "flux-system", all), "apps/v1/Deployment shop/a-web-b", nil},
		"another repository with the same path": {
			follower("apps", "./apps", "flux-system", "  targetNamespace: shop\n") + follower("other", "./apps", "other", "  targetNamespace: other\n"), "apps/v1/Deployment shop/web",
			[]string{"Kustomization flux-system/other changes ./apps by spec.targetNamespace, which is not applied here"},
		},
		"two that differ": {
			follower("one", "./apps", "flux-system", "  targetNamespace: one\n") + follower("two", "./apps", "flux-system", "  targetNamespace: two\n"), "apps/v1/Deployment default/web",
			[]string{
				"Kustomization flux-system/one changes ./apps by spec.targetNamespace, which is not applied here",
				"Kustomization flux-system/two changes ./apps by spec.targetNamespace, which is not applied here",
			},
		},
		"one that is not known": {
			follower("apps", "./apps", "flux-system", "  targetNamespace: '${TENANT}'\n  namePrefix: a-\n"), "apps/v1/Deployment default/a-web",
			[]string{"Kustomization flux-system/apps changes ./apps by spec.targetNamespace, which is not applied here"},
		},
		"what is not applied": {
			follower("apps", "./apps", "flux-system", "  targetNamespace: shop\n  components: [../c]\n  images: [{name: web, newTag: v2}]\n  commonMetadata: {labels: {a: b}}\n"), "apps/v1/Deployment shop/web",
			[]string{"Kustomization flux-system/apps changes ./apps by spec.components and spec.images and spec.commonMetadata, which is not applied here"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := treeOf(t, map[string]string{"clusters/prod/flux.yaml": tc.flux, "apps/d.yaml": deployment})
			commit(t, root)
			paths := []string{filepath.Join(root, "apps"), filepath.Join(root, "clusters/prod")}
			report := reported(t, paths...)
			if len(report.Findings) != 1 || report.Findings[0].Object != tc.wantObject {
				t.Errorf("findings %+v, want one about %s", report.Findings, tc.wantObject)
			}
			if _, notes := said(t, paths...); !cmp.Equal(tc.wantNotes, notes) {
				t.Errorf("notes %q, want %q", notes, tc.wantNotes)
			}
			if against := reported(t, append(paths, "--against=HEAD")...); against.Unchanged != 1 || len(against.Findings) > 0 {
				t.Errorf("against the same: %d unchanged and %+v, want one and none", against.Unchanged, against.Findings)
			}
		})
	}
}

// What a PATH says of another one is substituted first, in whatever order they are given.
func TestOrderOfPaths(t *testing.T) {
	t.Parallel()
	const wrong = "apps/v1/Deployment %s/web: the API server would reject this Deployment: cannot unmarshal string into field spec.replicas"
	const unknown = "apps/v1/Deployment %s/web: Flux substitutes REPLICAS, with a value that is not in what is checked here, so it is not known whether the API server takes it"
	const left = "Kustomization flux-system/apps changes ./apps/eu by spec.targetNamespace, which is not applied here"
	prod := func(values string) string {
		return follower("prod", "./clusters/prod", "flux-system", "  postBuild: {substitute: {"+values+"}}\n")
	}
	from := strings.Replace(prod(""), "substitute: {}", "substituteFrom: [{kind: ConfigMap, name: c}]", 1)
	child := func(path, value string) string {
		return follower("apps", path, "flux-system", "  targetNamespace: '${TENANT}'\n  postBuild: {substitute: {REPLICAS: '"+value+"'}}\n")
	}
	for name, tc := range map[string]struct {
		prod, infra            string
		wantFindings, wantNote []string
	}{
		"a value that is right":         {prod: prod(`replicas: '"3"', TENANT: shop`) + child("./apps/eu", "${replicas}")},
		"a value that is wrong":         {prod: prod("replicas: three, TENANT: shop") + child("./apps/eu", "${replicas}"), wantFindings: []string{fmt.Sprintf(wrong, "shop")}},
		"a value that is not known":     {prod: from + child("./apps/eu", "${replicas}"), wantNote: []string{left, fmt.Sprintf(unknown, "default")}},
		"a namespace that is not known": {prod: from + child("./apps/eu", "three"), wantFindings: []string{fmt.Sprintf(wrong, "default")}, wantNote: []string{left}},
		"a path with a variable":        {prod: prod("replicas: three, TENANT: shop, CLUSTER: eu") + child("./apps/${CLUSTER}", "${replicas}"), wantFindings: []string{fmt.Sprintf(wrong, "shop")}},
		"a path with an empty variable": {prod: prod("replicas: three, TENANT: shop, CLUSTER: ''") + child("./apps/eu/${CLUSTER}", "${replicas}"), wantFindings: []string{fmt.Sprintf(wrong, "shop")}},
		"one more between": {
			prod:  prod("replicas: three, tenant: shop") + follower("infra", "./infra", "flux-system", "  postBuild: {substitute: {replicas: '${replicas}', TENANT: '${tenant}'}}\n"),
			infra: child("./apps/eu", "${replicas}"), wantFindings: []string{fmt.Sprintf(wrong, "shop")},
		},
		"those that build each other": {
			prod:  prod("replicas: three, tenant: shop") + follower("infra", "./infra", "flux-system", "  postBuild: {substitute: {replicas: '${replicas}', TENANT: '${tenant}'}}\n"),
			infra: child("./apps/eu", "${replicas}") + follower("again", "./clusters/prod", "flux-system", "  postBuild: {substitute: {replicas: three, tenant: shop}}\n"), wantFindings: []string{fmt.Sprintf(wrong, "shop")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := treeOf(t, map[string]string{
				"clusters/prod/flux.yaml": tc.prod,
				"infra/flux.yaml":         tc.infra + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
				"apps/eu/d.yaml":          "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: '${REPLICAS}'}\n",
			})
			commit(t, root)
			for _, order := range [][]string{{"clusters/prod", "infra", "apps/eu"}, {"apps/eu", "infra", "clusters/prod"}, {"infra", "apps/eu", "clusters/prod"}} {
				var paths, findings, notes []string
				for _, path := range order {
					paths = append(paths, filepath.Join(root, path))
				}
				report := reported(t, paths...)
				for _, f := range report.Findings {
					findings = append(findings, f.Object+": "+f.Message)
				}
				for _, n := range report.Notes {
					notes = append(notes, n.Message)
				}
				if diff := cmp.Diff([][]string{tc.wantFindings, tc.wantNote}, [][]string{findings, notes}); diff != "" {
					t.Errorf("%v: findings and notes (-want +got):\n%s", order, diff)
				}
				if against := reported(t, append(paths, "--against=HEAD")...); against.Unchanged != len(tc.wantFindings) || len(against.Findings) > 0 {
					t.Errorf("%v against the same: %d unchanged and %+v, want %d and none", order, against.Unchanged, against.Findings, len(tc.wantFindings))
				}
			}
		})
	}
}

// A path with a variable is judged where its value is known.
func TestVariablesInThePathOfAKustomization(t *testing.T) {
	t.Parallel()
	const gone = "Kustomization flux-system/apps builds ./apps/gone, which the repository does not have: Flux applies nothing of it, and nothing of what depends on it"
	const unknown = "kustomize.toolkit.fluxcd.io/v1/Kustomization flux-system/apps: Flux substitutes CLUSTER, with a value that is not in what is checked here, so it is not known which folder it builds"
	for name, tc := range map[string]struct {
		cluster                string
		wantFindings, wantNote []string
	}{
		"a folder that is not there": {follower("prod", "./clusters/prod", "flux-system", "  postBuild: {substitute: {CLUSTER: gone}}\n"), []string{gone}, nil},
		"a folder that is there":     {follower("prod", "./clusters/prod", "flux-system", "  postBuild: {substitute: {CLUSTER: eu}}\n"), nil, []string{"path ./apps/eu of Kustomization flux-system/apps is not checked here: add it to the command line"}},
		"a value of a ConfigMap":     {follower("prod", "./clusters/prod", "flux-system", "  postBuild: {substituteFrom: [{kind: ConfigMap, name: c}]}\n"), nil, []string{unknown}},
		"the parent in no PATH":      {"", nil, []string{unknown}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := treeOf(t, map[string]string{
				"clusters/prod/flux.yaml": tc.cluster + follower("apps", "./apps/${CLUSTER}", "flux-system", ""),
				"apps/eu/c.yaml":          "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
			})
			findings, notes := said(t, "--root="+root, filepath.Join(root, "clusters/prod"))
			if diff := cmp.Diff([][]string{tc.wantFindings, tc.wantNote}, [][]string{findings, notes}); diff != "" {
				t.Errorf("findings and notes (-want +got):\n%s", diff)
			}
		})
	}
}

// A change of the distribution is one of the tree, where it is a folder of it.
func TestDistributionOfTheRevision(t *testing.T) {
	t.Parallel()
	const deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: source-controller, namespace: system}\nspec:\n" +
		"  template:\n    spec:\n      containers:\n      - {name: manager, image: 'ghcr.io/fluxcd/source-controller:v1.9.5', args: [--a, --b, --c, --d, --e, --f, --g, --h]}\n"
	account := func(mounts string) string {
		return "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, namespace: system}\nautomountServiceAccountToken: " + mounts + "\n"
	}
	root := treeOf(t, map[string]string{
		"cluster/flux.yaml": "apiVersion: fluxcd.controlplane.io/v1\nkind: FluxInstance\nmetadata: {name: flux, namespace: flux-system}\n" +
			"spec: {distribution: {version: 2.9.4, registry: ghcr.io/fluxcd}, components: [source-controller]}\n",
		"flux/rbac.yaml":              account("true"),
		"flux/policies.yaml":          "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: b, namespace: system}\n",
		"flux/source-controller.yaml": deployment,
	})
	commit(t, root)
	if err := os.WriteFile(filepath.Join(root, "flux/rbac.yaml"), []byte(account("maybe")), 0o600); err != nil {
		t.Fatal(err)
	}
	findings, notes := said(t, filepath.Join(root, "cluster"), "--distribution="+filepath.Join(root, "flux"), "--against=HEAD")
	want := []string{"newthe API server would reject this ServiceAccount: cannot unmarshal string into field automountServiceAccountToken"}
	if !cmp.Equal(want, findings) || len(notes) > 0 {
		t.Errorf("findings %q, notes %q; want %q and none", findings, notes, want)
	}
}

// A folder behind a symlink is not one to add to the command line: Flux has none there.
func TestPathBehindASymlink(t *testing.T) {
	t.Parallel()
	root := treeOf(t, map[string]string{
		"clusters/prod/flux.yaml": follower("apps", "./apps", "flux-system", ""),
		"base/c.yaml":             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
	})
	if err := os.Symlink("base", filepath.Join(root, "apps")); err != nil {
		t.Fatal(err)
	}
	findings, notes := said(t, filepath.Join(root, "clusters/prod"), filepath.Join(root, "apps"), "--root="+root)
	want := []string{"Kustomization flux-system/apps builds ./apps, where apps is a symlink, and Flux leaves symlinks out of what it fetches: Flux applies nothing of it, and nothing of what depends on it"}
	if !cmp.Equal(want, findings) || len(notes) > 0 {
		t.Errorf("findings %q, notes %q; want %q and none", findings, notes, want)
	}
}
