package status_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mainstay-dev/mainstay/controller/internal/status"
)

// notes records what would be sent.
type notes []string

func (n *notes) Eventf(_, _ runtime.Object, _, _, _, note string, args ...any) {
	*n = append(*n, fmt.Sprintf(note, args...))
}

func TestNotesFitTheAPIServer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		message string
		want    string
	}{
		"short":          {"one replica is not enough", "ClusterRule x: one replica is not enough"},
		"percent signs":  {"at 100%d", "ClusterRule x: at 100%d"},
		"long":           {strings.Repeat("a", 2000), "ClusterRule x: " + strings.Repeat("a", 1024-15-3) + "..."},
		"cut at a rune":  {strings.Repeat("ä", 600), "ClusterRule x: " + strings.Repeat("ä", 503) + "..."},
		"exactly enough": {strings.Repeat("b", 1024-15), "ClusterRule x: " + strings.Repeat("b", 1024-15)},
	} {
		var sent notes
		status.Recorder{EventRecorder: &sent}.Eventf(&corev1.Pod{}, nil, "Warning", "Violation", "Audit", "ClusterRule x: %s", tc.message)
		if len(sent) != 1 || sent[0] != tc.want || len(sent[0]) > 1024 || !utf8.ValidString(sent[0]) {
			t.Errorf("%s: sent %d bytes %.60q…, want %d bytes", name, len(sent[0]), sent[0], len(tc.want))
		}
	}
}
