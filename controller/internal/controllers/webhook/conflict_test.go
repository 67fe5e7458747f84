package webhook

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/status"
)

// TestConflictNamesItsEntries has the command of a message open no entry without need, and say
// so where it opens all; and a long answer leaves it whole.
func TestConflictNamesItsEntries(t *testing.T) {
	t.Parallel()
	of := func(fields ...string) error {
		var causes []metav1.StatusCause
		for _, field := range fields {
			causes = append(causes, metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Field: field})
		}
		return apierrors.NewApplyConflict(causes, "conflicts:\n- "+strings.Join(fields, "\n- "))
	}
	entry := func(i int) string { return fmt.Sprintf("ignore-%016d.rules.mainstay.dev", i) }
	field := func(i int) string { return fmt.Sprintf(".webhooks[name=%q].timeoutSeconds", entry(i)) }
	bundle := func(i int) string { return fmt.Sprintf(".webhooks[name=%q].clientConfig.caBundle", entry(i)) }
	const (
		command = "kubectl patch validatingwebhookconfiguration mainstay "
		all     = "with all rules of the webhook open until a replica leads: " + command + `--type=merge -p '{"webhooks":[]}'`
	)
	var bundles []string
	for i := range 20 {
		bundles = append(bundles, bundle(i))
	}
	deletes := func(i int) string { return `{"$patch":"delete","name":"` + entry(i) + `"}` }
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"a field of an entry":    {of(field(1)), "anew: " + command + `-p '{"webhooks":[` + deletes(1) + `]}'`},
		"two fields of an entry": {of(field(1), bundle(1)), "anew: " + command + `-p '{"webhooks":[` + deletes(1) + `]}'`},
		"of three entries": {
			of(bundle(3), field(1), bundle(2), field(3), bundle(1), field(2)),
			"anew: " + command + `-p '{"webhooks":[` + deletes(1) + "," + deletes(2) + "," + deletes(3) + `]}'`,
		},
		"of four entries":   {of(bundles[:4]...), all},
		"of twenty entries": {of(bundles...), all},
		"of the owner":      {of(`.metadata.ownerReferences[uid="1"].blockOwnerDeletion`), "anew: " + command + `--type=merge -p '{"metadata":{"ownerReferences":null}}'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlane(t, empty(), nil, nil)
			message := p.conflict(tc.err.Error(), conflicting(tc.err)).Message
			if got := status.Truncate(message); !strings.HasSuffix(got, tc.want) {
				t.Errorf("%d bytes: %s\nwant it to end in %s", len(message), got, tc.want)
			}
		})
	}
}
