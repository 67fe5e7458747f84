package status

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
)

// Recorder cuts the notes of Events to what the API server takes: it rejects a
// longer one, and the recorder of client-go drops it then.
type Recorder struct {
	events.EventRecorder
}

var _ events.EventRecorder = Recorder{}

// Eventf records an Event.
func (r Recorder) Eventf(regarding, related runtime.Object, eventType, reason, act, note string, args ...any) {
	r.EventRecorder.Eventf(regarding, related, eventType, reason, act, "%s", Truncate(fmt.Sprintf(note, args...)))
}
