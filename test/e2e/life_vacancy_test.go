//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// vacancy is the time between two leaders.
type vacancy struct {
	before, after string
	// released says that the leader before let go, and did not just stop to renew.
	released bool
	lasted   time.Duration
}

func (v vacancy) String() string {
	return fmt.Sprintf("nobody led for %.1f s between %s and %s (released: %t)", v.lasted.Seconds(), v.before, v.after, v.released)
}

// vacancies are those in the versions of a Lease. The times are those that the leaders
// wrote, whose clock is this machine's.
func vacancies(leases []*unstructured.Unstructured) []vacancy {
	var found []vacancy
	var before string
	var since time.Time
	released := false
	for _, lease := range leases {
		holder := holderOf(lease)
		if before != "" && holder != "" && (released || holder != before) {
			found = append(found, vacancy{before: before, after: holder, released: released, lasted: leaseTime(lease, "acquireTime").Sub(since)})
		}
		if released = holder == ""; !released {
			before = holder
		}
		since = leaseTime(lease, "renewTime")
	}
	return found
}

func holderOf(lease *unstructured.Unstructured) string {
	if lease == nil {
		return ""
	}
	holder, _, _ := unstructured.NestedString(lease.Object, "spec", "holderIdentity")
	return holder
}

func leaseTime(lease *unstructured.Unstructured, field string) time.Time {
	text, _, _ := unstructured.NestedString(lease.Object, "spec", field)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return at
}

func TestVacancies(t *testing.T) {
	t.Parallel()
	lease := func(holder, acquired, renewed string) *unstructured.Unstructured {
		at := func(second string) string { return "2026-11-21T10:00:" + second + ".000000Z" }
		return &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
			"holderIdentity": holder, "acquireTime": at(acquired), "renewTime": at(renewed),
		}}}
	}
	tests := map[string]struct {
		leases []*unstructured.Unstructured
		want   []vacancy
	}{
		"one leader": {leases: []*unstructured.Unstructured{lease("a", "01", "01"), lease("a", "01", "03")}},
		"handed over": {
			leases: []*unstructured.Unstructured{lease("a", "01", "05"), lease("", "07", "07"), lease("b", "10", "10"), lease("b", "10", "12")},
			want:   []vacancy{{before: "a", after: "b", released: true, lasted: 3 * time.Second}},
		},
		"taken from one that fell silent": {
			leases: []*unstructured.Unstructured{lease("a", "01", "05"), lease("b", "25", "25")},
			want:   []vacancy{{before: "a", after: "b", lasted: 20 * time.Second}},
		},
		"back to the same one": {
			leases: []*unstructured.Unstructured{lease("a", "01", "05"), lease("", "06", "06"), lease("a", "07", "07")},
			want:   []vacancy{{before: "a", after: "a", released: true, lasted: time.Second}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, vacancies(tc.leases), cmp.AllowUnexported(vacancy{})); diff != "" {
				t.Errorf("vacancies (-want +got):\n%s", diff)
			}
		})
	}
}
