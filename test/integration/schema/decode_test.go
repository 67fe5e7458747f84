package schema_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// TestAcceptedValuesDecode has unusual ways to write numbers, times and durations.
// What the API server accepts, the Go types have to be able to read: one object that
// they cannot read fails the list of all objects of its kind.
func TestAcceptedValuesDecode(t *testing.T) {
	t.Parallel()
	const notInt32 = "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in "
	exception := func(expires string) string {
		return `spec: {exceptions: [{name: a, reason: known, expires: "` + expires + `"}]}`
	}
	tests := map[string]struct {
		kind string
		set  string
		// want is the API server's complaint; without one the object is decoded.
		want string
	}{
		"a time with a fraction":       {kind: rule, set: exception("2030-01-31T00:00:00.25Z")},
		"a time with an offset":        {kind: clusterRule, set: exception("2030-01-31T00:00:00+01:00")},
		"a time with a long offset":    {kind: rule, set: exception("2030-01-31T00:00:00-23:59")},
		"a time of the year zero":      {kind: rule, set: exception("0000-01-01T00:00:00Z")},
		"a time of the last year":      {kind: rule, set: exception("9999-12-31T23:59:59.123456789012Z")},
		"a threshold of several units": {kind: lifeline, set: `spec: {lag: {threshold: 1m1.5s}}`},
		"a threshold with a sign":      {kind: lifeline, set: `spec: {lag: {threshold: +30s}}`},
		"a threshold without a zero":   {kind: lifeline, set: `spec: {lag: {threshold: .5m}}`},
		"a number past 32 bits": {
			kind: intervention, set: `spec: {attempt: 2147483648}`, want: notInt32 + "spec.attempt",
		},
	}
	typed := map[string]client.Object{
		clusterRule: &v1alpha1.ClusterRule{}, rule: &v1alpha1.Rule{},
		lifeline: &v1alpha1.Lifeline{}, intervention: &v1alpha1.Intervention{},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			created, err := tryCreate(t.Context(), with(t, minimal(t, tc.kind, "decode"), tc.set))
			if diff := cmp.Diff(tc.want, complaints(t, err)); diff != "" {
				t.Fatalf("error (-want +got):\n%s", diff)
			}
			if tc.want != "" {
				return
			}
			text, err := created.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			into := typed[tc.kind].DeepCopyObject()
			if err := runtime.DecodeInto(decoder(), text, into); err != nil {
				t.Errorf("what the API server accepted cannot be read: %v", err)
			}
		})
	}
}

// decoder reads objects as clients do that have the Go types.
func decoder() runtime.Decoder {
	return serializer.NewCodecFactory(env.typed.Scheme()).UniversalDeserializer()
}
