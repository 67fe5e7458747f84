package flux

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Kinds of sources that are compared in a way of their own.
const (
	kindOCIRepository    = "OCIRepository"
	kindHelmChart        = "HelmChart"
	kindExternalArtifact = "ExternalArtifact"
)

// sourceKey names one source.
type sourceKey struct{ kind, namespace, name string }

func (k sourceKey) String() string { return k.kind + "/" + k.namespace + "/" + k.name }

// artifact is what a source holds.
type artifact struct {
	revision string
	updated  time.Time
}

// indexSources leaves out sources without an artifact, and those whose artifact
// has no time: there is nothing that a consumer could be behind of, or since
// when.
func indexSources(list []*unstructured.Unstructured) map[sourceKey]artifact {
	out := make(map[sourceKey]artifact, len(list))
	for _, o := range list {
		revision := text(o, "status", "artifact", "revision")
		updated, err := time.Parse(time.RFC3339, text(o, "status", "artifact", "lastUpdateTime"))
		if revision == "" || err != nil {
			continue
		}
		out[sourceKey{o.GetKind(), o.GetNamespace(), o.GetName()}] = artifact{revision: revision, updated: updated}
	}
	return out
}

// condition of an object; the zero value stands for an absent one.
type condition struct {
	status metav1.ConditionStatus
	since  time.Time
}

func readCondition(o *unstructured.Unstructured, kind string) condition {
	// NestedSlice would copy every condition of every consumer.
	raw, _, _ := unstructured.NestedFieldNoCopy(o.Object, "status", "conditions")
	list, _ := raw.([]any)
	for _, item := range list {
		c, ok := item.(map[string]any)
		if !ok || c["type"] != kind {
			continue
		}
		status, _ := c["status"].(string)
		at, _ := c["lastTransitionTime"].(string)
		// The zero time says that it is not known since when.
		since, _ := time.Parse(time.RFC3339, at)
		return condition{status: metav1.ConditionStatus(status), since: since}
	}
	return condition{}
}

// text of a field; empty when it is absent or of another type.
func text(o *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(o.Object, path...)
	return value
}

// duration of a field; zero and false when it is absent or no duration.
func duration(o *unstructured.Unstructured, path ...string) (time.Duration, bool) {
	d, err := time.ParseDuration(text(o, path...))
	return d, err == nil
}
