package check_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

func TestWhatSOPSEncrypted(t *testing.T) {
	t.Parallel()
	const (
		sealed = "ENC[AES256_GCM,data:kg==,iv:eg==,tag:xQ==,type:str]"
		by     = "sops: {mac: '" + sealed + "', version: 3.9.0}\n"
		secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ns}\n"
		note   = "1 object is encrypted by SOPS, whose values are not seen: v1/Secret ns/s"
	)
	rule := func(expression string) string {
		return "---\napiVersion: mainstay.dev/v1alpha1\nkind: ClusterRule\nmetadata: {name: r}\nspec:\n  severity: high\n  matchConstraints:\n    resourceRules:\n" +
			"    - {apiGroups: [''], apiVersions: [v1], resources: [secrets], operations: [CREATE]}\n  validations:\n  - {expression: \"" + expression + "\", message: it does not hold}\n"
	}
	for name, tc := range map[string]struct {
		text      string
		want      []string
		wantNotes []string
	}{
		"a value":                    {text: secret + "data: {password: '" + sealed + "'}\n" + by, wantNotes: []string{note}},
		"a value that is not":        {text: secret + "data: {password: '" + sealed + "', user: '?'}\n" + by, want: []string{"high object-invalid all.yaml:1 the API server would reject this Secret: illegal base64 data at input byte 0"}, wantNotes: []string{note}},
		"an unknown field":           {text: secret + "datas: {}\n" + by, want: []string{`high object-invalid all.yaml:1 the API server would reject this Secret: unknown field "datas"`}, wantNotes: []string{note}},
		"nothing by SOPS":            {text: secret + "data: {password: '" + sealed + "'}\n", want: []string{"high object-invalid all.yaml:1 the API server would reject this Secret: illegal base64 data at input byte 3"}},
		"a rule about what is known": {text: secret + "data: {password: '" + sealed + "'}\n" + by + rule("'password' in object.data && object.metadata.namespace == 'x'"), want: []string{"high r all.yaml:1 it does not hold"}, wantNotes: []string{note}},
		"a rule about what is not": {
			text:      secret + "data: {password: '" + sealed + "'}\n" + by + rule("int(object.data.password) > 3"),
			wantNotes: []string{note, "v1/Secret ns/s: SOPS encrypted values of it, so it is not known whether ClusterRule/r holds"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := checked(t, check.Options{}, rendered(t, tc.text))
			if diff := cmp.Diff(tc.want, findings(report)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantNotes, notes(report)); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}
