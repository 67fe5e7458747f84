package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/test/cluster"
)

// What object-invalid says is what the API server does.
func TestAPIServerRejectsWhatIsInvalid(t *testing.T) {
	t.Parallel()
	c, err := cluster.Start(t.Context(), cluster.Options{Out: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	for file, want := range map[string]string{
		"good/apps/web/web.yaml":                                         "",
		"mistakes/unknown-field/apps/web/web.yaml":                       `unknown field "spec.template.spec.toleration"`,
		"mistakes/pdb-number-in-quotes/apps/web/web.yaml":                "spec.minAvailable: Invalid value",
		"mistakes/pdb-with-both-numbers/apps/web/web.yaml":               "minAvailable and maxUnavailable cannot be both set",
		"mistakes/jobs-that-the-api-server-rejects/apps/web/jobs.yaml#0": "cannot unmarshal string into Go struct field JobSpec.spec.backoffLimit",
		"mistakes/jobs-that-the-api-server-rejects/apps/web/jobs.yaml#1": `unknown field "spec.template"`,
		"mistakes/jobs-that-the-api-server-rejects/apps/web/jobs.yaml#2": `unknown field "spec.replicas"`,
		"mistakes/jobs-that-the-api-server-rejects/apps/web/jobs.yaml#3": `unknown field "spec.volumeClaimTemplate"`,
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			path, document, one := strings.Cut(file, "#")
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if one {
				content = []byte(strings.Split(string(content), "\n---\n")[document[0]-'0'])
			}
			at := filepath.Join(t.TempDir(), "apply.yaml")
			write(t, at, content)
			out, err := c.Kubectl(t.Context(), "apply", "--dry-run=server", "--validate=strict", "-f", at)
			said := string(out)
			if err != nil {
				said += err.Error()
			}
			if (err != nil) != (want != "") || !strings.Contains(said, want) {
				t.Errorf("kubectl says %s\nwant %q", said, want)
			}
		})
	}
}
