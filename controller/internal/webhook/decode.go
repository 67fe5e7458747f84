package webhook

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

const (
	// maxQuoted bounds what an answer repeats of a review, in bytes: a UID has 36.
	maxQuoted = 256

	// defaultTimeout is the API server's for a webhook that names none.
	defaultTimeout = 10 * time.Second
)

// Decode has the request of a review, and its UID.
func Decode(body []byte) (*rule.Request, types.UID, error) {
	var review map[string]any
	if err := utiljson.Unmarshal(body, &review); err != nil {
		return nil, "", errors.New("decode the review: " + expr.Shorten(err.Error(), maxQuoted))
	}
	if version, kind := text(review, "apiVersion"), text(review, "kind"); version != admissionv1.SchemeGroupVersion.String() || kind != "AdmissionReview" {
		return nil, "", fmt.Errorf("decode the review: %q of %q is not AdmissionReview of %s",
			expr.Shorten(kind, maxQuoted), expr.Shorten(version, maxQuoted), admissionv1.SchemeGroupVersion)
	}
	content, ok := review["request"].(map[string]any)
	if !ok {
		return nil, "", errors.New("decode the review: it has no request")
	}
	uid := text(content, "uid")
	if uid == "" {
		return nil, "", errors.New("decode the review: its request has no uid")
	}
	if len(uid) > maxQuoted {
		return nil, "", fmt.Errorf("decode the review: the uid of its request has %d bytes, want at most %d", len(uid), maxQuoted)
	}
	return requestOf(content), types.UID(uid), nil
}

// requestOf takes a request's content apart. The variable request of the
// expressions has it without the objects, as in the API server.
func requestOf(content map[string]any) *rule.Request {
	resource, _ := content["resource"].(map[string]any)
	q := &rule.Request{
		Operation:   admissionregistrationv1.OperationType(text(content, "operation")),
		Resource:    schema.GroupVersionResource{Group: text(resource, "group"), Version: text(resource, "version"), Resource: text(resource, "resource")},
		Subresource: text(content, "subResource"),
		Namespace:   text(content, "namespace"),
		Name:        text(content, "name"),
		Content:     maps.Clone(content),
	}
	q.Object, _ = content["object"].(map[string]any)
	q.OldObject, _ = content["oldObject"].(map[string]any)
	for _, name := range []string{"uid", "object", "oldObject"} {
		delete(q.Content, name)
	}
	return q
}

func text(content map[string]any, name string) string {
	value, _ := content[name].(string)
	return value
}

// timeoutOf is how long the API server waits, less a tenth for the way back: an answer
// that says what took too long is better than none. API servers wait for 1 to 30 s. Less is
// of somebody else, who could have this replica be late, and so unready, as he likes.
func timeoutOf(r *http.Request) time.Duration {
	timeout, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil || timeout < time.Second || timeout > 3*defaultTimeout {
		timeout = defaultTimeout
	}
	return timeout - timeout/10
}
