package webhook

import (
	"encoding/json"
	"errors"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// reply is what a caller gets. It is written when nothing is held for him any more.
type reply struct {
	code int
	body []byte
}

// admission is the reply that has an answer to a review.
func admission(uid types.UID, response *admissionv1.AdmissionResponse) reply {
	response.UID = uid
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: response,
	})
	if err != nil {
		return refusal(http.StatusInternalServerError, err.Error())
	}
	return reply{http.StatusOK, body}
}

// refusal is the reply to what cannot be answered: the API server does what the entry's
// failurePolicy says.
func refusal(code int, message string) reply { return reply{code, []byte(message)} }

// unread is the reply to a review that could not be read.
func unread(err error) reply {
	switch {
	case errors.Is(err, errNoRoom):
		return refusal(http.StatusServiceUnavailable, err.Error())
	case errors.Is(err, errTooLarge):
		return refusal(http.StatusRequestEntityTooLarge, err.Error())
	default:
		return refusal(http.StatusBadRequest, err.Error())
	}
}

func (r reply) write(w http.ResponseWriter) {
	if r.code != http.StatusOK {
		http.Error(w, string(r.body), r.code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(r.body) // whoever asked is gone
}
