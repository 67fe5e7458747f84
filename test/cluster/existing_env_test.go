package cluster

import "testing"

func TestExistingKubeconfig(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts    Options
		env     map[string]string
		want    string
		wantErr string
	}{
		"nothing asks for one":           {},
		"KUBECONFIG alone is not a wish": {env: map[string]string{"KUBECONFIG": "/production"}},
		"said to be false":               {env: map[string]string{"USE_EXISTING_CLUSTER": "false", "KUBECONFIG": "/production"}},
		"both variables":                 {env: map[string]string{"USE_EXISTING_CLUSTER": "true", "KUBECONFIG": "/tests"}, want: "/tests"},
		"the option comes first": {
			opts: Options{ExistingKubeconfig: "/option"},
			env:  map[string]string{"USE_EXISTING_CLUSTER": "true", "KUBECONFIG": "/tests"}, want: "/option",
		},
		"no KUBECONFIG": {
			env: map[string]string{"USE_EXISTING_CLUSTER": "true"}, wantErr: "USE_EXISTING_CLUSTER=true needs KUBECONFIG to name the cluster",
		},
		"neither true nor false": {
			env: map[string]string{"USE_EXISTING_CLUSTER": "maybe"}, wantErr: `USE_EXISTING_CLUSTER="maybe" is neither true nor false`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := existingKubeconfig(tc.opts, func(key string) string { return tc.env[key] })
			message := ""
			if err != nil {
				message = err.Error()
			}
			if got != tc.want || message != tc.wantErr {
				t.Errorf("got %q, error %q, want %q, error %q", got, message, tc.want, tc.wantErr)
			}
		})
	}
}
