package flux_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/test/builders"
)

func prometheus(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	return builders.Objects(t, withPatches(t, build(t, "manifests/base"), "manifests/components/prometheus"))
}

// An alert on a metric that does not exist never fires, and nobody notices.
func TestAlertsAndDashboardReadMetricsThatExist(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile(filepath.Join(repository, "docs/metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	expressions := map[string]string{}
	for name, expression := range alerts(t) {
		expressions["alert "+name] = expression
	}
	for name, expression := range panels(t) {
		expressions["panel "+name] = expression
	}
	if len(expressions) < 12 {
		t.Fatalf("%d expressions were found", len(expressions))
	}
	series := regexp.MustCompile(`\b(mainstay|leader_election|workqueue|controller_runtime)_[a-z_]+`)
	for name, expression := range expressions {
		metrics := series.FindAllString(expression, -1)
		if len(metrics) == 0 {
			t.Errorf("%s reads no metric: %s", name, expression)
		}
		for _, metric := range metrics {
			metric = strings.TrimSuffix(metric, "_bucket")
			row := rowOf(string(docs), metric)
			if row == "" {
				t.Errorf("%s reads %s, which docs/metrics.md does not have", name, metric)
			}
			// The labels that it selects and groups by, pod and le apart: Prometheus
			// and the histogram add those.
			for _, label := range labelsOf(expression, metric) {
				if !strings.Contains(row, "`"+label+"`") && !strings.Contains(row, label+"=") {
					t.Errorf("%s uses the label %s of %s, which docs/metrics.md does not have", name, label, metric)
				}
			}
		}
	}
}

// The leader's series end with its process, and the next leader's come after a takeover
// and a scrape. An alert that does not read over that gap resolves, or waits anew.
func TestAlertsReadOverAChangeOfLeaders(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile(filepath.Join(repository, "docs/metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	// The longest takeover of docs/leadership.md, between two scrapes of a Prometheus that
	// makes one a minute.
	const gap = 52*time.Second + 2*time.Minute
	read := regexp.MustCompile(`(\w+\()?\b(mainstay_[a-z_]+)(?:\{[^}]*\})?(?:\[(\w+)\])?`)
	count := 0
	for name, expression := range alerts(t) {
		for _, match := range read.FindAllStringSubmatch(expression, -1) {
			function, metric := match[1], match[2]
			if !strings.HasSuffix(rowOf(string(docs), metric), "| leader |\n") {
				continue
			}
			count++
			if function != "last_over_time(" && function != "increase(" {
				t.Errorf("alert %s reads what the leader says of %s now: %s", name, metric, expression)
				continue
			}
			if window, err := time.ParseDuration(match[3]); err != nil || window < gap {
				t.Errorf("alert %s reads %s over %q, want %s or more", name, metric, match[3], gap)
			}
			// The worse of what two leaders say counts, whichever replicas they are.
			worse := regexp.MustCompile(`^(max|sum)\b.* (> 0|== 1)$`)
			if strings.HasSuffix(expression, "== 0") {
				worse = regexp.MustCompile(`^min by `)
			}
			if !worse.MatchString(expression) || strings.Contains(expression, "pod") {
				t.Errorf("alert %s does not take the worse of two leaders: %s", name, expression)
			}
		}
	}
	if count < 7 {
		t.Errorf("%d readings of the leader's metrics were found", count)
	}
}

// Who has no Prometheus operator takes the alerts from the docs.
func TestDocsHaveTheAlerts(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile(filepath.Join(repository, "docs/metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(docs), "```yaml\n")
	block, _, _ = strings.Cut(block, "```\n")
	type alert struct{ Alert, Expr, For string }
	var documented, want []alert
	if err := yaml.Unmarshal([]byte(block), &documented); err != nil {
		t.Fatal(err)
	}
	for _, rule := range alertRules(t) {
		// docs/package.md says that the package has this one beyond them.
		if rule["alert"] == "MainstayInterventionFailed" {
			continue
		}
		wait, _ := rule["for"].(string)
		want = append(want, alert{rule["alert"].(string), rule["expr"].(string), wait})
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/metrics.md has other alerts than the package (-package +docs):\n%s", diff)
	}
}

// Rules and Lifelines of one name may be in two namespaces.
func TestAlertsAndDashboardTellNamesakesApart(t *testing.T) {
	t.Parallel()
	all := map[string]string{}
	for name, expression := range alerts(t) {
		all["alert "+name] = expression
	}
	for _, panel := range dashboard(t) {
		for _, target := range panel.Targets {
			all["panel "+panel.Title] += target.Expr + "\n"
			if strings.Contains(target.LegendFormat, "{{name}}") && !strings.Contains(target.LegendFormat, "{{namespace}}") {
				t.Errorf("panel %s names lines without their namespace: %s", panel.Title, target.LegendFormat)
			}
		}
	}
	for name, expression := range all {
		for _, by := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(expression, -1) {
			if labels := strings.Split(by[1], ", "); slices.Contains(labels, "name") && !slices.Contains(labels, "namespace") {
				t.Errorf("%s groups by name without namespace: %s", name, expression)
			}
		}
	}
}

func TestServiceMonitorFindsTheReplicas(t *testing.T) {
	t.Parallel()
	all := prometheus(t)
	var service corev1.Service
	convert(t, find(t, all, "Service", "mainstay-metrics"), &service)
	var deployment appsv1.Deployment
	convert(t, find(t, all, "Deployment", "mainstay"), &deployment)
	if diff := cmp.Diff(deployment.Spec.Selector.MatchLabels, service.Spec.Selector); diff != "" {
		t.Errorf("the Service selects other pods than the Deployment (-want +got):\n%s", diff)
	}
	if target := service.Spec.Ports[0].TargetPort.StrVal; !slices.ContainsFunc(deployment.Spec.Template.Spec.Containers[0].Ports,
		func(p corev1.ContainerPort) bool { return p.Name == target }) {
		t.Errorf("no container has the port %s", target)
	}
	monitor := find(t, all, "ServiceMonitor", "mainstay")
	selected, _, _ := unstructured.NestedStringMap(monitor.Object, "spec", "selector", "matchLabels")
	for key, value := range selected {
		if service.Labels[key] != value {
			t.Errorf("the Service lacks the label %s=%s that the ServiceMonitor selects", key, value)
		}
	}
	endpoints, _, _ := unstructured.NestedSlice(monitor.Object, "spec", "endpoints")
	if port := endpoints[0].(map[string]any)["port"]; port != service.Spec.Ports[0].Name {
		t.Errorf("the ServiceMonitor reads port %v, the Service has %s", port, service.Spec.Ports[0].Name)
	}
	if monitor.GetNamespace() != service.Namespace || service.Namespace != "mainstay-system" {
		t.Errorf("the ServiceMonitor is in %s, the Service in %s", monitor.GetNamespace(), service.Namespace)
	}
}

func TestEachAlertHasARunbookThatExists(t *testing.T) {
	t.Parallel()
	const prefix = "https://github.com/mainstay-dev/mainstay/blob/main/"
	for _, rule := range alertRules(t) {
		url, _, _ := unstructured.NestedString(rule, "annotations", "runbook_url")
		path, found := strings.CutPrefix(url, prefix)
		if !found {
			t.Errorf("alert %v has the runbook %q", rule["alert"], url)
			continue
		}
		if _, err := os.Stat(filepath.Join(repository, path)); err != nil {
			t.Errorf("alert %v: %v", rule["alert"], err)
		}
	}
}

func alertRules(t *testing.T) []map[string]any {
	t.Helper()
	groups, _, err := unstructured.NestedSlice(find(t, prometheus(t), "PrometheusRule", "mainstay").Object, "spec", "groups")
	if err != nil {
		t.Fatal(err)
	}
	var rules []map[string]any
	for _, group := range groups {
		list, _, err := unstructured.NestedSlice(group.(map[string]any), "rules")
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range list {
			rules = append(rules, rule.(map[string]any))
		}
	}
	return rules
}

// alerts are the expressions by name.
func alerts(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, rule := range alertRules(t) {
		all[rule["alert"].(string)] = rule["expr"].(string)
	}
	return all
}

type panel struct {
	Title   string
	Targets []struct{ Expr, LegendFormat string }
}

func dashboard(t *testing.T) []panel {
	t.Helper()
	text, _, _ := unstructured.NestedString(find(t, prometheus(t), "ConfigMap", "mainstay-dashboard").Object, "data", "mainstay.json")
	var dashboard struct{ Panels []panel }
	if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
		t.Fatal(err)
	}
	return dashboard.Panels
}

// panels are the expressions of the dashboard by title.
func panels(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, panel := range dashboard(t) {
		for _, target := range panel.Targets {
			all[panel.Title] += target.Expr + "\n"
		}
	}
	return all
}

// rowOf is the row of a table that has the metric in its first cell.
func rowOf(docs, metric string) string {
	for line := range strings.Lines(docs) {
		cells := strings.Split(line, "|")
		if len(cells) > 2 && regexp.MustCompile("`"+metric+"[`{]").MatchString(cells[1]) {
			return line
		}
	}
	return ""
}

// labelsOf are the labels that an expression of one metric names. Where it has
// several metrics, those that are selected from this one.
func labelsOf(expression, metric string) []string {
	var labels []string
	for _, selector := range regexp.MustCompile(metric+`\{([^}]*)\}`).FindAllStringSubmatch(expression, -1) {
		for _, matcher := range regexp.MustCompile(`([a-z_]+)[=!]`).FindAllStringSubmatch(selector[1], -1) {
			labels = append(labels, matcher[1])
		}
	}
	for line := range strings.Lines(expression) {
		if !strings.Contains(line, metric) {
			continue
		}
		for _, by := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(line, -1) {
			for label := range strings.SplitSeq(by[1], ", ") {
				if label != "pod" && label != "le" {
					labels = append(labels, label)
				}
			}
		}
	}
	return labels
}
