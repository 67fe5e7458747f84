package check_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// atLeast is a ClusterRule that Deployments have so many replicas.
func atLeast(name, replicas string) string {
	return `---
apiVersion: mainstay.dev/v1alpha1
kind: ClusterRule
metadata:
  name: ` + name + `
spec:
  severity: high
  matchConstraints:
    namespaceSelector:
      matchLabels:
        kubernetes.io/metadata.name: default
    resourceRules:
    - apiGroups: [apps]
      apiVersions: [v1]
      resources: [deployments]
      operations: [CREATE, UPDATE]
  references:
  - name: nodes
    apiVersion: v1
    kind: Node
  validations:
  - expression: object.spec.replicas >= ` + replicas + ` || refs.nodes.size() > 0
    message: fewer than ` + replicas + ` replicas
`
}

func deployment(name string, replicas int) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
  namespace: default
spec:
  replicas: %[2]d
  selector:
    matchLabels: {app: %[1]s}
  template:
    metadata:
      labels: {app: %[1]s}
    spec:
      containers:
      - {name: main, image: example.com/main}
`, name, replicas)
}

func TestClusterShowsWhatAChangedRuleWouldNewlyReport(t *testing.T) {
	t.Parallel()
	mainstay := program(t)
	c, err := cluster.Start(t.Context(), cluster.Options{Audit: true, Out: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	kubectl := func(args ...string) {
		t.Helper()
		if out, err := c.Kubectl(t.Context(), args...); err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
	}
	apply := func(text string) {
		t.Helper()
		path := filepath.Join(dir, "apply.yaml")
		write(t, path, []byte(text))
		kubectl("apply", "-f", path)
	}
	check := func(rules string, args ...string) (outcome, []string) {
		t.Helper()
		tree := filepath.Join(dir, "tree")
		write(t, filepath.Join(tree, "kustomization.yaml"), []byte("resources: [rules.yaml]\n"))
		write(t, filepath.Join(tree, "rules.yaml"), []byte(rules))
		args = append([]string{"check", "tree", "--root", ".", "--rules", "none", "--cluster", "--kubeconfig", c.Kubeconfig(), "-o", "json"}, args...)
		got := run(t, mainstay, dir, args...)
		if got.code == 2 {
			return got, nil
		}
		return got, parse(t, got.stdout).lines(t, dir)
	}

	// Without Mainstay's kinds every rule is new.
	apply(deployment("one", 1) + deployment("two", 2) + deployment("three", 3))
	if got, lines := check(atLeast("replicas", "2")); len(lines) != 1 || got.code != 1 {
		t.Errorf("a cluster without Mainstay: exit code %d, findings %v: %s", got.code, lines, got.stderr)
	}

	kubectl("apply", "-f", filepath.Join(root, "manifests/crd/mainstay.dev_clusterrules.yaml"))
	if err := c.AwaitDefinitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	apply(atLeast("replicas", "2"))

	got, lines := check(atLeast("replicas", "3"))
	want := []string{"high replicas tree/rules.yaml:2 apps/v1/Deployment default/two"}
	if diff := cmp.Diff(want, lines); diff != "" || got.code != 1 {
		t.Errorf("the rule asks for one more: exit code %d: %s\nfindings (-want +got):\n%s", got.code, got.stderr, diff)
	}
	if got, lines := check(atLeast("replicas", "2")); len(lines) != 0 || got.code != 0 {
		t.Errorf("the rule is unchanged: exit code %d, findings %v: %s", got.code, lines, got.stderr)
	}
	if got, lines := check(atLeast("replicas", "1")); len(lines) != 0 || got.code != 0 {
		t.Errorf("the rule asks for less: exit code %d, findings %v: %s", got.code, lines, got.stderr)
	}
	if got, lines := check(atLeast("replicas", "2") + atLeast("more", "4")); len(lines) != 3 || got.code != 1 {
		t.Errorf("a rule is new: exit code %d, findings %v: %s", got.code, lines, got.stderr)
	}
	if got, _ := check(atLeast("replicas", "2"), "--context", "nope"); got.code != 2 || !strings.Contains(got.stderr, `context "nope" does not exist`) {
		t.Errorf("a context that is not there: exit code %d: %s", got.code, got.stderr)
	}
	readsOnly(t, c)
}

// readsOnly fails the test where mainstay has done anything but read.
func readsOnly(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	events, err := c.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	reads := 0
	for _, event := range events {
		if !strings.HasPrefix(event.UserAgent, "mainstay/") {
			continue
		}
		if event.Verb != "get" && event.Verb != "list" {
			t.Errorf("mainstay did %s %s", event.Verb, event.RequestURI)
		}
		reads++
	}
	if reads < 10 {
		t.Errorf("%d requests of mainstay in the audit log, want 10 at least", reads)
	}
}
