package flux

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

const (
	oldCommit = "main@sha1:1111111111111111111111111111111111111111"
	newCommit = "main@sha1:2222222222222222222222222222222222222222"
	digest    = "sha256:3b6cdcc7adcc9a84d3214ee1c029543789d90b5ae69debe9efa3f66e982875de"
)

// noon is when the sources of these tests got their artifact.
func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

func parse(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &o.Object); err != nil {
		t.Fatalf("parse %q: %v", manifest, err)
	}
	return o
}

// set a field, or remove it when the value is nil.
func set(t *testing.T, o *unstructured.Unstructured, value any, path ...string) {
	t.Helper()
	if value == nil {
		unstructured.RemoveNestedField(o.Object, path...)
		return
	}
	if err := unstructured.SetNestedField(o.Object, value, path...); err != nil {
		t.Fatalf("set %v: %v", path, err)
	}
}

func setCondition(t *testing.T, o *unstructured.Unstructured, kind, status string, at time.Time) {
	t.Helper()
	set(t, o, []any{
		map[string]any{"type": "Healthy", "status": "False"},
		map[string]any{
			"type": kind, "status": status, "reason": "Any",
			"lastTransitionTime": at.Format(time.RFC3339),
		},
	}, "status", "conditions")
}

// gitRepository holds newCommit since noon.
func gitRepository(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	return parse(t, `
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: fleet, namespace: flux-system}
spec: {interval: 1m0s, url: "ssh://git@example.com/fleet"}
status:
  artifact:
    digest: `+digest+`
    lastUpdateTime: "2026-01-02T12:00:00Z"
    path: gitrepository/flux-system/fleet/2222222222222222222222222222222222222222.tar.gz
    revision: `+newCommit+`
    size: 1234
    url: http://source-controller.flux-system.svc.cluster.local./gitrepository/flux-system/fleet/2222222222222222222222222222222222222222.tar.gz
  conditions:
  - {type: Ready, status: "True", reason: Succeeded, lastTransitionTime: "2026-01-01T00:00:00Z"}
  observedGeneration: 1
`)
}

// stalledKustomization is what a cut-off kustomize-controller leaves behind.
func stalledKustomization(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	return parse(t, `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system, creationTimestamp: "2025-12-01T00:00:00Z"}
spec:
  interval: 10m0s
  path: ./apps
  prune: true
  sourceRef: {kind: GitRepository, name: fleet}
status:
  conditions:
  - lastTransitionTime: "2026-01-01T00:00:00Z"
    message: 'Applied revision: `+oldCommit+`'
    observedGeneration: 1
    reason: ReconciliationSucceeded
    status: "True"
    type: Ready
  lastAppliedRevision: `+oldCommit+`
  lastAttemptedRevision: `+oldCommit+`
  observedGeneration: 1
`)
}

func TestKustomizationLag(t *testing.T) {
	t.Parallel()
	type edit = func(t *testing.T, source, k *unstructured.Unstructured)
	lagging := &v1alpha1.LaggingConsumer{
		Kind: "Kustomization", Namespace: "flux-system", Name: "apps",
		Source:         "GitRepository/flux-system/fleet",
		SourceRevision: newCommit, AttemptedRevision: oldCommit,
		Since: metav1.NewTime(noon()),
	}
	never := *lagging
	never.AttemptedRevision = ""
	tests := map[string]struct {
		edit     edit
		now      time.Duration // after noon
		want     *v1alpha1.LaggingConsumer
		wantNext time.Duration // after noon
	}{
		"Ready on an old revision": {now: 2 * time.Minute, want: lagging},
		"not for long yet":         {now: 2*time.Minute - 1, wantNext: 2 * time.Minute},
		"applied": {
			now: time.Hour,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				set(t, k, newCommit, "status", "lastAttemptedRevision")
				set(t, k, newCommit, "status", "lastAppliedRevision")
			},
		},
		"attempted": {
			now: time.Hour,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				set(t, k, newCommit, "status", "lastAttemptedRevision")
			},
		},
		"the source went back to what is applied": {
			now: time.Hour,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				set(t, k, newCommit, "status", "lastAppliedRevision")
			},
		},
		"suspended": {
			now: time.Hour,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				set(t, k, true, "spec", "suspend")
			},
		},
		"being deleted": {
			now: time.Hour,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				k.SetDeletionTimestamp(&metav1.Time{Time: noon()})
			},
		},
		"failed and says so": {
			now: time.Hour,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				setCondition(t, k, "Ready", "False", noon())
			},
		},
		"cut off in the midst of fetching": {
			now:  2 * time.Minute,
			want: lagging,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				setCondition(t, k, "Ready", "Unknown", noon().Add(time.Second))
			},
		},
		"busy with an earlier revision for as long as its timeout": {
			now:      3*time.Minute + 59*time.Second,
			wantNext: 4 * time.Minute,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				set(t, k, "5m", "spec", "timeout")
				setCondition(t, k, "Ready", "Unknown", noon().Add(-time.Minute))
			},
		},
		"busy for longer than its timeout": {
			now:  4 * time.Minute,
			want: lagging,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				set(t, k, "5m", "spec", "timeout")
				setCondition(t, k, "Ready", "Unknown", noon().Add(-time.Minute))
			},
		},
		"by default its timeout is half a minute less than its interval": {
			now:      time.Minute,
			wantNext: 9*time.Minute + 29*time.Second,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				setCondition(t, k, "Ready", "Unknown", noon().Add(-time.Second))
			},
		},
		"never reconciled": {
			now:  time.Hour,
			want: &never,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				set(t, k, map[string]any{"observedGeneration": int64(-1)}, "status")
			},
		},
		"created later than the artifact": {
			now:      time.Hour,
			wantNext: 61 * time.Minute,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				set(t, k, nil, "status")
				k.SetCreationTimestamp(metav1.NewTime(noon().Add(59 * time.Minute)))
			},
		},
		"the source is unknown": {
			now: time.Hour,
			edit: func(_ *testing.T, source, _ *unstructured.Unstructured) {
				source.SetName("other")
			},
		},
		"the source is of another kind": {
			now: time.Hour,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				set(t, k, "Bucket", "spec", "sourceRef", "kind")
			},
		},
		"the source is elsewhere": {
			now: time.Hour,
			edit: func(_ *testing.T, source, _ *unstructured.Unstructured) {
				source.SetNamespace("other")
			},
		},
		"the source's namespace is named": {
			now:  time.Hour,
			want: lagging,
			edit: func(t *testing.T, _, k *unstructured.Unstructured) {
				t.Helper()
				set(t, k, "flux-system", "spec", "sourceRef", "namespace")
			},
		},
		"the source has no artifact": {
			now: time.Hour,
			edit: func(t *testing.T, source, _ *unstructured.Unstructured) {
				t.Helper()
				set(t, source, nil, "status", "artifact")
			},
		},
		"the artifact has no time": {
			now: time.Hour,
			edit: func(t *testing.T, source, _ *unstructured.Unstructured) {
				t.Helper()
				set(t, source, nil, "status", "artifact", "lastUpdateTime")
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, k := gitRepository(t), stalledKustomization(t)
			if tt.edit != nil {
				tt.edit(t, source, k)
			}
			got, next := Lagging(LagInput{
				Kustomizations: []*unstructured.Unstructured{k},
				Sources:        []*unstructured.Unstructured{source},
				Threshold:      2 * time.Minute,
				Now:            noon().Add(tt.now),
			})
			var want []v1alpha1.LaggingConsumer
			if tt.want != nil {
				want = append(want, *tt.want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Lagging() differs (-want +got):\n%s", diff)
			}
			wantNext := time.Time{}
			if tt.wantNext != 0 {
				wantNext = noon().Add(tt.wantNext)
			}
			if !next.Equal(wantNext) {
				t.Errorf("next is %s, want %s", next, wantNext)
			}
		})
	}
}

func TestKustomizationMayFinishWhatItBeganForHalfAMinute(t *testing.T) {
	t.Parallel()
	k := stalledKustomization(t)
	set(t, k, "10s", "spec", "interval")
	setCondition(t, k, "Ready", "Unknown", noon().Add(-time.Second))
	got, next := Lagging(LagInput{
		Kustomizations: []*unstructured.Unstructured{k},
		Sources:        []*unstructured.Unstructured{gitRepository(t)},
		Threshold:      5 * time.Second,
		Now:            noon().Add(20 * time.Second),
	})
	if want := noon().Add(29 * time.Second); len(got) != 0 || !next.Equal(want) {
		t.Errorf("%d lagging, next %s, want none and %s", len(got), next, want)
	}
}

func TestHelmReleaseLag(t *testing.T) {
	t.Parallel()
	source := func(kind, namespace, name, revision string) string {
		return `
apiVersion: source.toolkit.fluxcd.io/v1
kind: ` + kind + `
metadata: {name: ` + name + `, namespace: ` + namespace + `}
status: {artifact: {revision: "` + revision + `", lastUpdateTime: "2026-01-02T12:00:00Z"}}
`
	}
	release := func(spec, status string) string {
		return `
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: podinfo, namespace: apps, creationTimestamp: "2025-12-01T00:00:00Z"}
spec: {interval: 10m, ` + spec + `}
status:
  conditions: [{type: Ready, status: "True", reason: UpgradeSucceeded, lastTransitionTime: "2026-01-01T00:00:00Z"}]
` + status
	}
	const (
		chart    = `chart: {spec: {chart: podinfo, sourceRef: {kind: HelmRepository, name: podinfo}}}`
		ociRef   = `chartRef: {kind: OCIRepository, name: podinfo}`
		other    = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
		external = `chartRef: {kind: ExternalArtifact, name: podinfo, namespace: sources}`
	)
	tests := map[string]struct {
		source, release string
		want            string // the source that it lags behind
	}{
		"HelmChart: attempted": {
			source:  source("HelmChart", "apps", "apps-podinfo", "6.5.4"),
			release: release(chart, "  helmChart: apps/apps-podinfo\n  lastAttemptedRevision: 6.5.4"),
		},
		"HelmChart: an older version": {
			source:  source("HelmChart", "apps", "apps-podinfo", "6.5.4"),
			release: release(chart, "  helmChart: apps/apps-podinfo\n  lastAttemptedRevision: 6.5.3"),
			want:    "HelmChart/apps/apps-podinfo",
		},
		"HelmChart: build metadata is part of the version": {
			source:  source("HelmChart", "apps", "apps-podinfo", "6.5.4+4e5cbb7b97d0"),
			release: release(chart, "  helmChart: apps/apps-podinfo\n  lastAttemptedRevision: 6.5.4+1"),
			want:    "HelmChart/apps/apps-podinfo",
		},
		"HelmChart: not made yet by the release's own word": {
			source:  source("HelmChart", "apps", "apps-podinfo", "6.5.4"),
			release: release(chart, "  lastAttemptedRevision: 6.5.3"),
			want:    "HelmChart/apps/apps-podinfo",
		},
		"HelmChart: in the namespace of its source": {
			source: source("HelmChart", "repos", "apps-podinfo", "6.5.4"),
			release: release(`chart: {spec: {chart: podinfo, sourceRef: {kind: GitRepository, name: podinfo, namespace: repos}}}`,
				"  lastAttemptedRevision: 6.5.3"),
			want: "HelmChart/repos/apps-podinfo",
		},
		"HelmChart: by reference": {
			source:  source("HelmChart", "apps", "shared", "6.5.4"),
			release: release(`chartRef: {kind: HelmChart, name: shared}`, "  helmChart: apps/apps-podinfo\n  lastAttemptedRevision: 6.5.3"),
			want:    "HelmChart/apps/shared",
		},
		"OCIRepository: attempted": {
			source:  source("OCIRepository", "apps", "podinfo", "6.5.4@"+digest),
			release: release(ociRef, "  lastAttemptedRevision: 6.5.4+3b6cdcc7adcc\n  lastAttemptedRevisionDigest: "+digest),
		},
		"OCIRepository: the tag moved": {
			source:  source("OCIRepository", "apps", "podinfo", "6.5.4@"+digest),
			release: release(ociRef, "  lastAttemptedRevision: 6.5.4+ffffffffffff\n  lastAttemptedRevisionDigest: "+other),
			want:    "OCIRepository/apps/podinfo",
		},
		"OCIRepository: attempted with digest tracking off": {
			source:  source("OCIRepository", "apps", "podinfo", "6.5.4@"+digest),
			release: release(ociRef, "  lastAttemptedRevision: 6.5.4\n  lastAttemptedRevisionDigest: "+digest),
		},
		"OCIRepository: attempted, pulled by digest": {
			source:  source("OCIRepository", "apps", "podinfo", digest),
			release: release(ociRef, "  lastAttemptedRevision: 6.5.4+3b6cdcc7adcc\n  lastAttemptedRevisionDigest: "+digest),
		},
		"OCIRepository: attempted, the tag is no version": {
			source:  source("OCIRepository", "apps", "podinfo", "latest@"+digest),
			release: release(ociRef, "  lastAttemptedRevision: 6.5.4+3b6cdcc7adcc\n  lastAttemptedRevisionDigest: latest@"+digest),
		},
		"OCIRepository: attempted by a controller that records no digest": {
			source:  source("OCIRepository", "apps", "podinfo", "6.5.4@"+digest),
			release: release(ociRef, "  lastAttemptedRevision: 6.5.4+3b6cdcc7adcc"),
		},
		"OCIRepository: never attempted": {
			source:  source("OCIRepository", "apps", "podinfo", "6.5.4@"+digest),
			release: release(ociRef, "  observedGeneration: 1"),
			want:    "OCIRepository/apps/podinfo",
		},
		"ExternalArtifact: a version attempted": {
			source:  source("ExternalArtifact", "sources", "podinfo", "6.5.4"),
			release: release(external, "  lastAttemptedRevision: 6.5.4"),
		},
		"ExternalArtifact: an older version": {
			source:  source("ExternalArtifact", "sources", "podinfo", "6.5.4"),
			release: release(external, "  lastAttemptedRevision: 6.5.3"),
			want:    "ExternalArtifact/sources/podinfo",
		},
		"ExternalArtifact: a version in another notation": {
			source:  source("ExternalArtifact", "sources", "podinfo", "v6.5.4"),
			release: release(external, "  lastAttemptedRevision: 6.5.4"),
		},
		"ExternalArtifact: no version": {
			source:  source("ExternalArtifact", "sources", "podinfo", "nightly"),
			release: release(external, "  lastAttemptedRevision: 6.5.4"),
		},
		"ExternalArtifact: an older digest": {
			source:  source("ExternalArtifact", "sources", "podinfo", "latest@"+digest),
			release: release(external, "  lastAttemptedRevision: 6.5.4+ffffffffffff\n  lastAttemptedRevisionDigest: latest@"+other),
			want:    "ExternalArtifact/sources/podinfo",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, next := Lagging(LagInput{
				HelmReleases: []*unstructured.Unstructured{parse(t, tt.release)},
				Sources:      []*unstructured.Unstructured{parse(t, tt.source)},
				Threshold:    2 * time.Minute,
				Now:          noon().Add(time.Hour),
			})
			if !next.IsZero() {
				t.Errorf("next is %s, want none", next)
			}
			source := ""
			for _, l := range got {
				if l.Kind != "HelmRelease" || l.Namespace != "apps" || l.Name != "podinfo" || !l.Since.Time.Equal(noon()) {
					t.Errorf("lagging is %+v", l)
				}
				source = l.Source
			}
			if len(got) > 1 || source != tt.want {
				t.Errorf("%d lagging, behind %q, want behind %q", len(got), source, tt.want)
			}
		})
	}
}

func TestHelmReleaseMayFinishWhatItBegan(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		timeout any
		want    time.Duration // after noon
	}{
		"its own timeout": {timeout: "15m", want: 14 * time.Minute},
		"the default":     {want: 4 * time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := gitRepository(t)
			source.SetKind("HelmChart")
			o := parse(t, `
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: podinfo, namespace: flux-system}
spec: {chartRef: {kind: HelmChart, name: fleet}}
status: {lastAttemptedRevision: 6.5.3}
`)
			set(t, o, tt.timeout, "spec", "timeout")
			setCondition(t, o, "Reconciling", "True", noon().Add(-time.Minute))
			got, next := Lagging(LagInput{
				HelmReleases: []*unstructured.Unstructured{o},
				Sources:      []*unstructured.Unstructured{source},
				Threshold:    2 * time.Minute,
				Now:          noon().Add(tt.want - 1),
			})
			if len(got) != 0 || !next.Equal(noon().Add(tt.want)) {
				t.Errorf("%d lagging, next %s, want none and %s", len(got), next, noon().Add(tt.want))
			}
		})
	}
}

func TestLaggingIsSortedAndTellsTheFirstToCome(t *testing.T) {
	t.Parallel()
	var in LagInput
	for _, c := range []struct {
		name  string
		since time.Duration
	}{{"late", 20 * time.Minute}, {"b", 5 * time.Minute}, {"soon", 19 * time.Minute}, {"a", 5 * time.Minute}, {"first", 0}} {
		source, k := gitRepository(t), stalledKustomization(t)
		source.SetName(c.name)
		set(t, source, noon().Add(c.since).Format(time.RFC3339), "status", "artifact", "lastUpdateTime")
		k.SetName(c.name)
		set(t, k, c.name, "spec", "sourceRef", "name")
		in.Sources = append(in.Sources, source)
		in.Kustomizations = append(in.Kustomizations, k)
	}
	in.Threshold, in.Now = 10*time.Minute, noon().Add(20*time.Minute)
	got, next := Lagging(in)
	var names []string
	for _, l := range got {
		names = append(names, l.Name)
	}
	if diff := cmp.Diff([]string{"first", "a", "b"}, names); diff != "" {
		t.Errorf("lagging differs (-want +got):\n%s", diff)
	}
	if want := noon().Add(29 * time.Minute); !next.Equal(want) {
		t.Errorf("next is %s, want %s", next, want)
	}
}

// TestRevisionsAreCut has a tenant who writes a megabyte into the status of his source keep no
// Lifeline from having a status.
func TestRevisionsAreCut(t *testing.T) {
	t.Parallel()
	source, k := gitRepository(t), stalledKustomization(t)
	set(t, source, strings.Repeat("é", 1<<19), "status", "artifact", "revision")
	got, _ := Lagging(LagInput{
		Kustomizations: []*unstructured.Unstructured{k}, Sources: []*unstructured.Unstructured{source},
		Threshold: time.Minute, Now: noon().Add(time.Hour),
	})
	if len(got) != 1 || len(got[0].SourceRevision) != maxRevision || len(got[0].AttemptedRevision) > maxRevision {
		t.Errorf("lagging: %+v", got)
	}
}
