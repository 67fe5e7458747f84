package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// reviewSelf sends a review to the own port.
func (h *Health) reviewSelf(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, selfTimeout)
	defer cancel()
	err := h.askForReview(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.problem = err; err == nil {
		h.reviewed = h.opts.Clock.Now()
	}
}

func (h *Health) askForReview(ctx context.Context) error {
	uid := uuid.NewUUID()
	body, err := json.Marshal(selfReview(uid))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+h.opts.Self+PathSelfReview, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := h.send(req)
	if err != nil {
		return err
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(answer, &review); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if review.Response == nil || review.Response.UID != uid || !review.Response.Allowed {
		return errors.New("it was not allowed")
	}
	return nil
}

// selfReview is about an object that nobody has, and changes nothing.
func selfReview(uid types.UID) admissionv1.AdmissionReview {
	kind := metav1.GroupVersionKind{Group: "mainstay.dev", Version: "v1alpha1", Kind: "SelfReview"}
	resource := metav1.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: "selfreviews"}
	return admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: uid, Kind: kind, Resource: resource, RequestKind: &kind, RequestResource: &resource,
			Name: "self-review", Operation: admissionv1.Create, DryRun: new(true),
		},
	}
}

// send returns the body of an answer with status 200.
func (h *Health) send(req *http.Request) ([]byte, error) {
	resp, err := h.opts.Client().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer was %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
}
