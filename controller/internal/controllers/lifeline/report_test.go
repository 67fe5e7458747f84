package lifeline

import (
	"testing"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/lifeline"
)

func TestReadySaysWhatIsNotListed(t *testing.T) {
	t.Parallel()
	for want, verdict := range map[string]lifeline.Verdict{
		"judged 1 member": {Members: make([]v1alpha1.Member, 1)},
		"judged 70 members; the first 64 are listed":                                             {Members: make([]v1alpha1.Member, 64), MembersLeftOut: 6},
		"judged 2 members; of 1 member with more than 64 replicas the first 64 nodes are listed": {Members: make([]v1alpha1.Member, 2), NodesLeftOut: 1},
	} {
		if got := judged(verdict); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	}
}
