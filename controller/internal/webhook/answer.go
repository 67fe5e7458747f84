package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

const (
	// maxWarning and maxWarnings bound warnings. An API server cuts each to 256
	// characters once all of them have more than 4 KiB, and drops the rest.
	maxWarning  = 256
	maxWarnings = 16

	// maxAudited bounds the violations of one audit annotation.
	maxAudited = 16

	// auditKey is the API server's for the violations of its own policies. It
	// puts the name of the webhook before it.
	auditKey = "validation_failure"
)

// answer collects what rules say of a request.
type answer struct {
	denial  *metav1.Status
	denials int
	// violations and failures count the rules that deny and those that could
	// not be evaluated.
	violations, failures int

	warnings []string
	warned   int
	audited  []failure
}

// failure is a violation as the API server writes it into the audit log.
type failure struct {
	Message           string                                     `json:"message"`
	Policy            string                                     `json:"policy"`
	Binding           string                                     `json:"binding"`
	ExpressionIndex   int                                        `json:"expressionIndex"`
	ValidationActions []admissionregistrationv1.ValidationAction `json:"validationActions"`
}

// violated takes in a violation.
func (a *answer) violated(by *active, finding *rule.Finding) {
	if by.deny {
		a.violations++
		a.deny(by, finding.Message, finding.Reason, codeOf(finding.Reason))
	}
	if by.warn {
		a.warn(by, finding.Message)
	}
	if by.audit {
		a.record(by, finding)
	}
}

// errored takes in that a rule could not be evaluated. An expression that fails
// has the reason that the API server gives it; where objects could not be read,
// or time ran out, the request is not the cause.
func (a *answer) errored(by *active, finding *rule.Finding) {
	a.failures++
	reason, code := metav1.StatusReasonInvalid, int32(http.StatusUnprocessableEntity)
	if errors.Is(finding.Err, errUnavailable) || errors.Is(finding.Err, context.DeadlineExceeded) || errors.Is(finding.Err, context.Canceled) {
		reason, code = metav1.StatusReasonInternalError, http.StatusInternalServerError
	}
	message := "the rule could not be evaluated: " + finding.Message
	if code != http.StatusInternalServerError && by.key.Kind == rule.KindRule && len(by.rule.References()) > 0 {
		// An error quotes what an expression had in hand.
		message = "the rule could not be evaluated: why is not shown, as that may be of objects that whoever asks may not read"
		if finding.Validation >= 0 {
			message += fmt.Sprintf(" (validations[%d])", finding.Validation)
		}
	}
	if by.fail {
		a.deny(by, message, reason, code)
	} else {
		a.warn(by, message)
	}
	if by.audit {
		a.record(by, finding)
	}
}

func (a *answer) deny(by *active, message string, reason metav1.StatusReason, code int32) {
	if a.denials++; a.denials > 1 {
		return
	}
	a.denial = &metav1.Status{Status: metav1.StatusFailure, Message: by.before + message + by.after, Reason: reason, Code: code}
}

func (a *answer) warn(by *active, message string) {
	if a.warned++; a.warned > maxWarnings {
		return
	}
	text := expr.Shorten(by.before+message, maxWarning)
	if room := maxWarning - len(by.before) - len(by.after); room >= maxWarning/4 {
		text = by.before + expr.Shorten(message, room) + by.after
	}
	a.warnings = append(a.warnings, text)
}

func (a *answer) record(by *active, finding *rule.Finding) {
	if len(a.audited) >= maxAudited {
		return
	}
	name := by.key.String()
	a.audited = append(a.audited, failure{
		Message: finding.Message, Policy: name, Binding: name, ExpressionIndex: max(finding.Validation, 0),
		ValidationActions: by.rule.Spec().ValidationActions,
	})
}

// response is the answer to a review.
func (a *answer) response() (*admissionv1.AdmissionResponse, error) {
	out := &admissionv1.AdmissionResponse{Allowed: a.denial == nil, Result: a.denial, Warnings: a.warnings}
	if more := a.denials - 1; more == 1 {
		out.Result.Message += "; 1 more rule denies it"
	} else if more > 1 {
		out.Result.Message += fmt.Sprintf("; %d more rules deny it", more)
	}
	if more := a.warned - maxWarnings; more > 0 {
		out.Warnings[maxWarnings-1] = fmt.Sprintf("%d more rules of Mainstay warn", more+1)
	}
	if len(a.audited) > 0 {
		value, err := json.Marshal(a.audited)
		if err != nil {
			return nil, fmt.Errorf("encode the audit annotation: %w", err)
		}
		out.AuditAnnotations = map[string]string{auditKey: string(value)}
	}
	return out, nil
}

// codeOf is the status code that the API server gives for the reason of a
// validation.
func codeOf(reason metav1.StatusReason) int32 {
	switch reason {
	case metav1.StatusReasonForbidden:
		return http.StatusForbidden
	case metav1.StatusReasonRequestEntityTooLarge:
		return http.StatusRequestEntityTooLarge
	default:
		return http.StatusUnprocessableEntity
	}
}
