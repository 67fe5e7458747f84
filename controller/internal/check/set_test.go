package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// Rules are read to their end, and nothing beside them.
func TestHostileRules(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "r.yaml")
	if err := os.WriteFile(outside, []byte(ruleText("outside", "", "true")), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := func(at string) error { return syscall.Mkfifo(at, 0o600) }
	link := func(to string) func(string) error { return func(at string) error { return os.Symlink(to, at) } }
	write := func(content string) func(string) error {
		return func(at string) error { return os.WriteFile(at, []byte(content), 0o600) }
	}
	for name, tc := range map[string]struct {
		plant            func(at string) error
		wantFile, wantIn string // where it is named itself, and where its folder is
	}{
		"a FIFO":         {fifo, "it is not a regular file", "it is not a regular file"},
		"a device":       {link("/dev/zero"), "it is not a regular file", "path escapes from parent"},
		"a file outside": {link(outside), "", "path escapes from parent"},
		"a file inside":  {link("own.yaml"), "", ""},
		"a key twice":    {write("a: b\na: c\n"), `line 2: mapping key "a" already defined at line 1`, `line 2: mapping key "a" already defined at line 1`},
		"too much":       {write(strings.Repeat("#", 4<<20+1)), "it has more than the 4194304 bytes that one file may have", "it has more than the 4194304 bytes that one file may have"},
		"an alias bomb":  {write("a: &a [*a]\n"), "line 1: the alias *a is part of what it stands for", "line 1: the alias *a is part of what it stands for"},
		"a deep one":     {write(strings.Repeat("[", 9000) + strings.Repeat("]", 9000)), "line 1: its YAML nests more than 200 deep", "line 1: its YAML nests more than 200 deep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := write(ruleText("own", "", "true"))(filepath.Join(dir, "own.yaml")); err != nil {
				t.Fatal(err)
			}
			at := filepath.Join(dir, "r.yaml")
			if err := tc.plant(at); err != nil {
				t.Fatal(err)
			}
			for named, want := range map[string]string{at: tc.wantFile, dir: tc.wantIn} {
				switch _, err := check.FromDir(named); {
				case err == nil && want != "":
					t.Errorf("%s: no error, want %s", named, want)
				case err != nil && (want == "" || err.Error() != "read "+at+": "+want):
					t.Errorf("%s: %v, want %s", named, err, want)
				}
			}
		})
	}
}

// A List holds what its items are.
func TestRulesInAList(t *testing.T) {
	t.Parallel()
	item := func(text string) string {
		return "\n- " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
	}
	list := func(items ...string) string {
		return "apiVersion: v1\nkind: List\nitems:" + strings.Join(items, "") + "\n"
	}
	own := item(ruleText("own", "", "true"))
	for name, tc := range map[string]struct {
		text      string
		wantRules int
		wantErr   string
	}{
		"two, and another kind": {text: list(own, item(ruleText("other", "", "true")), item("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}")), wantRules: 2},
		"in a List":             {text: list(item(list(own))), wantRules: 1},
		"one that is wrong":     {text: list(item(ruleText("own", "  sevrity: low", "true"))), wantErr: `ClusterRule own: strict decoding error: unknown field "spec.sevrity"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, err := check.FromDir(file(t, tc.text))
			if tc.wantErr != "" {
				if err == nil || !strings.HasSuffix(err.Error(), tc.wantErr) {
					t.Errorf("got %v, want … %s", err, tc.wantErr)
				}
				return
			}
			if err != nil || len(set.Rules) != tc.wantRules {
				t.Errorf("%d rules and %v, want %d", len(set.Rules), err, tc.wantRules)
			}
		})
	}
}

// The values that a rule may have are those of its CustomResourceDefinition.
func TestListedValuesAreTheCRDs(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../../manifests/crd/mainstay.dev_clusterrules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd map[string]any
	if err := yaml.Unmarshal(content, &crd); err != nil {
		t.Fatal(err)
	}
	versions, _, err := unstructured.NestedSlice(crd, "spec", "versions")
	if err != nil || len(versions) != 1 {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	at := func(path ...string) []string {
		path = append([]string{"schema", "openAPIV3Schema", "properties", "spec", "properties"}, path...)
		values, _, err := unstructured.NestedStringSlice(versions[0].(map[string]any), append(path, "enum")...)
		if err != nil || len(values) < 2 {
			t.Fatalf("%v lists %v, %v", path, values, err)
		}
		return values
	}
	for field, tc := range map[string]struct {
		values []string
		text   string
	}{
		"severity":             {at("severity"), "severity: VALUE"},
		"modes[0]":             {at("modes", "items"), "modes: [VALUE]"},
		"validationActions[0]": {at("validationActions", "items"), "validationActions: [VALUE]"},
		"failurePolicy":        {at("failurePolicy"), "failurePolicy: VALUE"},
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			with := func(value string) string {
				text := "  " + strings.ReplaceAll(tc.text, "VALUE", value)
				if field == "severity" {
					return strings.Replace(ruleText("r", "", "true"), "  severity: high", text, 1)
				}
				return ruleText("r", text, "true")
			}
			for _, value := range tc.values {
				if _, err := check.FromDir(file(t, with(value))); err != nil {
					t.Errorf("%s: %v", value, err)
				}
				wrong := strings.ToUpper(value)
				want := "ClusterRule r: spec." + field + `: Unsupported value: "` + wrong + `"`
				if _, err := check.FromDir(file(t, with(wrong))); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v, want … %s …", wrong, err, want)
				}
			}
		})
	}
}
