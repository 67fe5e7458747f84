package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkTree is a folder with a Deployment, a patch that misses, and a rule of
// each severity that is given.
func checkTree(t *testing.T, severities ...string) string {
	t.Helper()
	dir := t.TempDir()
	var all strings.Builder
	all.WriteString("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}\n")
	for _, severity := range severities {
		all.WriteString("---\napiVersion: mainstay.dev/v1alpha1\nkind: ClusterRule\nmetadata: {name: of-" + severity + "}\nspec:\n  severity: " + severity + `
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], resources: [deployments], operations: [CREATE]}
  validations:
  - {expression: object.spec.replicas > 1, message: one replica}
`)
	}
	for name, content := range map[string]string{"kustomization.yaml": "resources: [all.yaml]\n", "all.yaml": all.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheckExitCodes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		severities []string
		args       []string
		want       int
		wantErr    string
	}{
		"no finding":                    {want: 0},
		"below the default":             {severities: []string{"info", "low", "medium"}, want: 0},
		"at the default":                {severities: []string{"high"}, want: 1, wantErr: "the worst finding is high, and --fail-on is high"},
		"above the default":             {severities: []string{"info", "critical"}, want: 1, wantErr: "the worst finding is critical, and --fail-on is high"},
		"at a lower limit":              {severities: []string{"info"}, args: []string{"--fail-on=info"}, want: 1, wantErr: "the worst finding is info, and --fail-on is info"},
		"below a higher limit":          {severities: []string{"high"}, args: []string{"--fail-on=critical"}, want: 0},
		"never":                         {severities: []string{"critical"}, args: []string{"--fail-on=never"}, want: 0},
		"an unknown severity":           {args: []string{"--fail-on=huge"}, want: 2, wantErr: `--fail-on is "huge", want info, low, medium, high, critical or never`},
		"an unknown output":             {args: []string{"-o=html"}, want: 2, wantErr: `--output: output "html" is none of table, json, sarif, junit, github`},
		"no worker":                     {args: []string{"--workers=0"}, want: 2, wantErr: "--workers is 0: at least one is needed"},
		"rules that are not there":      {args: []string{"--rules=/does/not/exist"}, want: 2, wantErr: "--rules: read the rules: stat /does/not/exist: no such file or directory"},
		"a path that is not there":      {args: []string{"/does/not/exist"}, want: 2, wantErr: "/does/not/exist"},
		"an unknown flag":               {args: []string{"--strict"}, want: 2, wantErr: "unknown flag: --strict"},
		"no revision outside of Git":    {args: []string{"--against=main"}, want: 2, wantErr: "--against: find the revision main in"},
		"a context without --cluster":   {args: []string{"--context=x"}, want: 2, wantErr: "--kubeconfig and --context say which cluster --cluster compares with, and it is not given"},
		"a cluster that is not there":   {args: []string{"--cluster", "--kubeconfig=/does/not/exist"}, want: 2, wantErr: "--cluster: load the kubeconfig: stat /does/not/exist: no such file or directory"},
		"rules of the tree without any": {severities: []string{"high"}, args: []string{"--rules=none"}, want: 1, wantErr: "the worst finding is high"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := newCommand()
			cmd.SetArgs(append([]string{"check", checkTree(t, tc.severities...)}, tc.args...))
			cmd.SetOut(&bytes.Buffer{})
			cmd.SetErr(&bytes.Buffer{})
			err := cmd.ExecuteContext(t.Context())
			got := 0
			if err != nil {
				got = exitCode(err)
			}
			if got != tc.want || (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("exit code %d, %v; want %d, … %s …", got, err, tc.want, tc.wantErr)
			}
		})
	}
}

func TestCheckNeedsAPath(t *testing.T) {
	t.Parallel()
	cmd := newCommand()
	cmd.SetArgs([]string{"check"})
	if err := cmd.ExecuteContext(t.Context()); err == nil || exitCode(err) != exitCannot {
		t.Errorf("got %v, want an error with exit code %d", err, exitCannot)
	}
}
