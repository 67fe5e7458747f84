package certs

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestServed goes through what a replica sees, step by step. Secrets a, b and c have CAs
// of their own, a2 is a's with a new serving certificate.
func TestServed(t *testing.T) {
	t.Parallel()
	auth := testAuthority()
	materials := map[string]material{}
	_, materials["a"] = made(t, auth, material{}, renewAll, day0)
	_, materials["a2"] = made(t, auth, materials["a"], renewServing, day0)
	_, materials["b"] = made(t, auth, materials["a"], renewAll, day0)
	_, materials["c"] = made(t, auth, material{}, renewAll, day0)
	_, materials["short"] = made(t, authority{caLife: 365 * day, servingLife: time.Hour, names: auth.names}, material{}, renewAll, day0)
	nameOf := func(m *material) string {
		for name, other := range materials {
			if m != nil && other.pair.Leaf.Equal(m.pair.Leaf) {
				return name
			}
		}
		return ""
	}
	caOf := func(name string) *x509.Certificate { return materials[name].bundle[0] }

	type step struct {
		load    string
		entries []string // "ab": an entry that trusts the CAs of a and b; nil: none
		trust   bool
		since   time.Duration // before the step
		after   time.Duration
		want    string
		ready   bool
	}
	none := []string(nil)
	tests := map[string][]step{
		"nothing yet": {{want: ""}},
		"no entries": {
			{trust: true, entries: none},
			{load: "a", want: "a", ready: true},
			{load: "b", want: "b", ready: true},
		},
		"the configuration is not known": {{load: "a", want: "a"}},
		"a new serving certificate of a trusted CA is shown at once": {
			{load: "a", trust: true, entries: []string{"a"}, since: time.Hour, want: "a", ready: true},
			{load: "a2", want: "a2", ready: true},
		},
		"a new CA waits for the configuration, and for the API servers": {
			{load: "a", trust: true, entries: []string{"a"}, since: time.Hour, want: "a", ready: true},
			{load: "b", want: "a", ready: true},
			{after: time.Hour, want: "a", ready: true},
			{trust: true, entries: []string{"ba"}, want: "a", ready: true},
			{after: 4 * time.Second, want: "a", ready: true},
			{after: time.Second, want: "b", ready: true},
		},
		"every entry has to trust it": {
			{load: "a", trust: true, entries: []string{"a", "a"}, since: time.Hour, want: "a", ready: true},
			{load: "b", trust: true, entries: []string{"ba", "a"}, want: "a", ready: true},
			{after: time.Minute, want: "a", ready: true},
			{trust: true, entries: []string{"ba", "ab"}, want: "a", ready: true},
			{after: 5 * time.Second, want: "b", ready: true},
		},
		"an entry added by the way does not begin the time anew": {
			{load: "a", trust: true, entries: []string{"a"}, since: time.Hour, want: "a", ready: true},
			{load: "b", trust: true, entries: []string{"ba"}, want: "a", ready: true},
			{after: 3 * time.Second, trust: true, entries: []string{"ba", "ba"}, want: "a", ready: true},
			{after: 2 * time.Second, want: "b", ready: true},
		},
		"two rotations before the configuration follows": {
			{load: "a", trust: true, entries: []string{"a"}, since: time.Hour, want: "a", ready: true},
			{load: "b", want: "a", ready: true},
			{load: "c", want: "a", ready: true},
			{trust: true, entries: []string{"ca"}, want: "a", ready: true},
			{after: 5 * time.Second, want: "c", ready: true},
		},
		"a replica that starts in mid-rotation is not ready before API servers know its CA": {
			{load: "b", trust: true, entries: []string{"a"}, since: time.Hour, want: "b"},
			{after: time.Second, trust: true, entries: []string{"ba"}, want: "b"},
			{after: 4 * time.Second, want: "b"},
			{after: time.Second, want: "b", ready: true},
		},
		"a replica that starts just after the configuration was written": {
			{load: "b", trust: true, entries: []string{"ba"}, since: 2 * time.Second, want: "b"},
			{after: 3 * time.Second, want: "b", ready: true},
		},
		"a replica that starts long after it": {
			{load: "b", trust: true, entries: []string{"ba"}, since: time.Hour, want: "b", ready: true},
		},
		"the first entry of all": {
			{load: "a", trust: true, entries: none, want: "a", ready: true},
			{trust: true, entries: []string{"a"}, want: "a", ready: true},
		},
		"rotated while nobody called": {
			{load: "a", trust: true, entries: none, want: "a", ready: true},
			{load: "b", want: "b", ready: true},
			{trust: true, entries: []string{"ba"}, want: "b", ready: true},
		},
		"an entry without CAs trusts nobody": {
			{load: "a", trust: true, entries: []string{""}, since: time.Hour, want: "a"},
		},
		"what nobody trusts any more gives way": {
			{load: "a", trust: true, entries: []string{"a"}, since: time.Hour, want: "a", ready: true},
			{load: "b", want: "a", ready: true},
			{trust: true, entries: []string{"b"}, want: "b"},
			{after: 5 * time.Second, want: "b", ready: true},
		},
		"where nothing is trusted, what was shown stays": {
			{load: "a", trust: true, entries: []string{"a"}, since: time.Hour, want: "a", ready: true},
			{load: "b", trust: true, entries: []string{"c"}, want: "a"},
		},
		"what expired gives way": {
			{load: "short", trust: true, entries: []string{"s"}, since: time.Hour, want: "short", ready: true},
			{load: "b", want: "short", ready: true},
			{after: time.Hour + time.Second, want: "b"},
		},
	}
	letters := map[byte]string{'a': "a", 'b': "b", 'c': "c", 's': "short"}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := day0
			k := New(Options{Namespace: "mainstay-system", Clock: clockFunc(func() time.Time { return now })})
			for i, step := range steps {
				now = now.Add(step.after)
				if step.load != "" {
					k.served.load(materials[step.load], now)
				}
				if step.trust {
					var entries [][]*x509.Certificate
					for _, entry := range step.entries {
						cas := []*x509.Certificate{}
						for _, letter := range []byte(entry) {
							cas = append(cas, caOf(letters[letter]))
						}
						entries = append(entries, cas)
					}
					k.served.trust(entries, now.Add(-step.since))
				}
				k.served.settle(now)
				if got := nameOf(k.served.choose(now)); got != step.want {
					t.Errorf("step %d shows %q, want %q", i, got, step.want)
				}
				if err := k.Ready(); (err == nil) != step.ready {
					t.Errorf("step %d: ready: %v, want %v", i, err, step.ready)
				}
			}
		})
	}
}

func TestBundle(t *testing.T) {
	t.Parallel()
	auth := testAuthority()
	var cas []*x509.Certificate
	var all []material
	for i := range 5 {
		_, m := made(t, auth, material{}, renewAll, day0.Add(time.Duration(i)*day))
		all, cas = append(all, m), append(cas, m.bundle[0])
	}
	_, rotated := made(t, auth, all[2], renewAll, day0.Add(3*day))
	cas = append(cas, rotated.bundle[0]) // 5, which is newer than 2 and made beside 3
	tests := map[string]struct {
		secret *material
		live   [][]int
		at     time.Duration
		want   []int
	}{
		"nothing before there is a certificate": {live: [][]int{{0}}, want: nil},
		"the Secret's":                          {secret: &all[0], want: []int{0}},
		"each once":                             {secret: &all[0], live: [][]int{{0}, {0}}, want: []int{0}},
		"what is trusted already stays":         {secret: &all[1], live: [][]int{{0}}, want: []int{1, 0}},
		"the newest first":                      {secret: &all[2], live: [][]int{{0, 1}}, want: []int{2, 1, 0}},
		"three at most":                         {secret: &all[3], live: [][]int{{0, 1, 2}}, want: []int{3, 2, 1}},
		"the Secret's own former one":           {secret: &rotated, live: [][]int{{4, 2}}, want: []int{5, 2, 4}},
		"none that expired":                     {secret: &all[4], live: [][]int{{0, 1}}, at: 365*day + time.Hour, want: []int{4, 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := served{newest: tc.secret}
			var entries [][]*x509.Certificate
			for _, entry := range tc.live {
				var list []*x509.Certificate
				for _, i := range entry {
					list = append(list, cas[i])
				}
				entries = append(entries, list)
			}
			s.trust(entries, day0)
			var got []int
			for _, ca := range s.bundle(day0.Add(tc.at)) {
				got = append(got, slices.IndexFunc(cas, ca.Equal))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("CAs (-want +got):\n%s", diff)
			}
		})
	}
}
