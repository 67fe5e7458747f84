package lifeline

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// Decision is what the healer does next, and the Healing condition that says
// so.
type Decision struct {
	// Move to make, or to record as refused when DryRun is set. Nil when
	// there is none to make or none to record.
	Move *Move

	// DryRun is true where spec.heal.mode is DryRun: Move must not be made.
	DryRun bool

	// Reason and Message of the Healing condition.
	Reason, Message string

	// RetryAfter is when time alone could change the decision; zero when only
	// a change of an object can.
	RetryAfter time.Duration
}

// Move is the eviction of one pod, so that its replacement lands in another
// domain.
type Move struct {
	// Namespace, Name, UID and Node of the pod to evict.
	Namespace, Name string
	UID             types.UID
	Node            string

	// Workload that the pod belongs to, as Kind/name.
	Workload string

	// Evidence is a digest of what the result of the move depends on: 32
	// hexadecimal digits.
	Evidence string

	// Attempt is 1 plus the highest attempt in the history on the same pod.
	Attempt int32

	// Why the move is made: a sentence.
	Why string
}

// Target of an Intervention for the move.
func (m Move) Target() v1alpha1.TargetReference {
	return v1alpha1.TargetReference{
		APIVersion: "v1",
		Kind:       "Pod",
		Namespace:  m.Namespace,
		Name:       m.Name,
		UID:        m.UID,
		Node:       m.Node,
		Workload:   m.Workload,
	}
}

// Assessment is what became of a move.
type Assessment struct {
	// Settled is false while the result cannot be told yet.
	Settled bool

	// Verdict and Message, once settled.
	Verdict v1alpha1.Verdict
	Message string

	// Evidence is a digest of the surroundings that a futile move was judged in;
	// empty where they are not known.
	Evidence string

	// RetryAfter is when an unsettled move settles by the passing of time.
	RetryAfter time.Duration
}
