package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
)

// RecordName is the name of the ConfigMap, in Mainstay's own namespace, that keeps
// every gate open for as long as it exists, whatever is in it.
const RecordName = "mainstay-unlocked"

// Keys of the record. kubectl create configmap can write them too.
const (
	keyReason = "reason"
	keyBy     = "by"
)

// MaxReason bounds a reason, in bytes, so that it fits into conditions and Events.
const MaxReason = 512

// Record says who opened the gates, when and why.
type Record struct {
	By     string
	Since  metav1.Time
	Reason string
}

// RecordOf reads the record that a ConfigMap is. What is missing is said to be.
func RecordOf(config *corev1.ConfigMap) Record {
	return Record{
		By:     bounded(cmp.Or(config.Data[keyBy], "somebody who left no name")),
		Since:  config.CreationTimestamp,
		Reason: bounded(cmp.Or(config.Data[keyReason], "none given")),
	}
}

// Recorded returns who has opened all gates, as one reader knows it, nil where it knows of
// nobody. The namespace is Mainstay's.
func Recorded(ctx context.Context, reader client.Reader, namespace string) (*Record, error) {
	var config corev1.ConfigMap
	err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: RecordName}, &config)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nobody is no error
	}
	if err != nil {
		return nil, fmt.Errorf("read whether the gates are open, ConfigMap %s/%s: %w", namespace, RecordName, err)
	}
	record := RecordOf(&config)
	return &record, nil
}

// Opened returns who has opened all gates, nil where nobody has. Where the cache says that
// they are open the API server is asked: the cache of a new leader may not know yet that they
// are closed again. The namespace is Mainstay's.
func Opened(ctx context.Context, cache, api client.Reader, namespace string) (*Record, error) {
	record, err := Recorded(ctx, cache, namespace)
	if record == nil || err != nil {
		return nil, err
	}
	return Recorded(ctx, api, namespace)
}

// String is one sentence without its full stop.
func (r Record) String() string {
	return fmt.Sprintf("opened by %s at %s: %s", r.By, r.Since.UTC().Format("2006-01-02 15:04:05 UTC"), r.Reason)
}

func bounded(text string) string {
	return expr.Shorten(strings.Join(strings.Fields(text), " "), MaxReason)
}

// validateReason returns what is wrong with a reason.
func validateReason(reason string) error {
	switch {
	case reason == "":
		return errors.New("a reason must be given, --reason on the command line: whoever finds the gates open reads it")
	case len(reason) > MaxReason:
		return fmt.Errorf("the reason has %d bytes, at most %d are kept", len(reason), MaxReason)
	}
	return nil
}

// ValidateNamespace returns what is wrong with the name of a namespace.
func ValidateNamespace(namespace string) error {
	if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
		return fmt.Errorf("namespace %q: %s", namespace, problems[0])
	}
	return nil
}
