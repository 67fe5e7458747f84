package output_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
	"github.com/mainstay-dev/mainstay/controller/internal/check/output"
)

// sample has a finding of every kind that formats treat differently.
func sample() *check.Report {
	return &check.Report{
		Findings: []check.Finding{
			{
				Check: "singleton", Rule: "ClusterRule/singleton", Severity: "critical", Object: "apps/v1/Deployment flux-system/source-controller",
				Path: "clusters/a b/gotk.yaml", Line: 2552, Message: "Deployment flux-system/source-controller has 2 replicas",
				SetBy: []check.Place{{Path: "k.yaml", Line: 8}, {Path: "base/k.yaml", Line: 3}},
				Docs:  "https://example.com/docs#singleton", In: "clusters/a b", State: check.StateNew, Fingerprint: "00ff",
			},
			{
				Check: "patch-matches-nothing", Severity: "medium", Object: "name=x, kind=Y", Path: "i.yaml", Line: 9,
				Instance: "flux-system/flux", Message: "100% wrong:\nit \x1b[31mmatches nothing", In: "clusters/a b", State: check.StateNew, Fingerprint: "01ff",
			},
			{
				Check: "made", Severity: "info", Object: "v1/Service flux-system/x", Path: "i.yaml", Line: 1,
				Instance: "flux-system/flux", Message: `<"quoted">`, In: "clusters/a b", State: check.StateNew, Fingerprint: "02ff",
			},
			{
				Check: "rule-weakened", Rule: "ClusterRule/singleton", Severity: "high", Object: "mainstay.dev/v1alpha1/ClusterRule singleton", Path: "r.yaml", Line: 1,
				Message: "ClusterRule singleton asks for less than in main: spec.suspend false → true", In: "clusters/a b", State: check.StateNew, Fingerprint: "04ff",
			},
			{
				Check: "singleton", Rule: "ClusterRule/singleton", Severity: "critical", Object: "v1/Service a/c", Path: "s.yaml", Line: 7,
				Message: "no longer judged: it is wrong", In: "clusters/a b", State: check.StateUnjudged, Fingerprint: "05ff",
			},
			{Check: "gone", Severity: "high", Object: "v1/Service a/b", Path: "old.yaml", Line: 4, Message: "it was wrong", State: check.StateFixed, Fingerprint: "03ff"},
		},
		Notes: []check.Note{
			{Check: "x", Message: "said twice"},
			{Check: "x", Message: "said twice"},
			{Check: "y", Object: "v1/Service a/b", Path: "k.yaml", Line: 3, Message: "who wins"},
		},
		Against: "main", Unchanged: 2,
		Summary: check.Summary{Objects: 42, Patches: 1, Rules: 15},
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for _, format := range output.Formats() {
		for kind, report := range map[string]*check.Report{"findings": sample(), "clean": {Findings: []check.Finding{}, Summary: check.Summary{Objects: 1}}} {
			name := string(format) + "-" + kind
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var out bytes.Buffer
				if err := output.Write(&out, format, "v1.2.3", report); err != nil {
					t.Fatal(err)
				}
				want, err := os.ReadFile(filepath.Join("testdata", name))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), out.String()); diff != "" {
					t.Errorf("output (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A viewer needs these of SARIF 2.1.0, and every index and reference to lead
// somewhere.
func TestSARIFIsWhole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := output.Write(&out, output.SARIF, "v1.2.3", sample()); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct{ ID string }
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
				PartialFingerprints map[string]string
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" || !strings.Contains(log.Schema, "2.1.0") {
		t.Fatalf("not a log of one run: %+v", log)
	}
	if len(log.Runs[0].Results) != 5 {
		t.Errorf("%d results, want 5: what is fixed is none", len(log.Runs[0].Results))
	}
	for _, result := range log.Runs[0].Results {
		rules := log.Runs[0].Tool.Driver.Rules
		if result.RuleIndex >= len(rules) || rules[result.RuleIndex].ID != result.RuleID {
			t.Errorf("%s: rule index %d is of another rule", result.RuleID, result.RuleIndex)
		}
		if result.Level == "" || result.Message.Text == "" || len(result.Locations) != 1 || len(result.PartialFingerprints) != 1 {
			t.Errorf("%s lacks something: %+v", result.RuleID, result)
		}
		place := result.Locations[0].PhysicalLocation
		if place.Region.StartLine < 1 || strings.Contains(place.ArtifactLocation.URI, " ") {
			t.Errorf("%s: not a place: %+v", result.RuleID, place)
		}
	}
}

func TestJUnitParses(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := output.Write(&out, output.JUnit, "v1.2.3", sample()); err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Cases []struct {
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	if suites.Failures != 5 || len(suites.Suites) != 1 || len(suites.Suites[0].Cases) != 5 || suites.Suites[0].Cases[2].Failure.Message != `<"quoted">` {
		t.Errorf("got %+v", suites)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	if format, err := output.Parse("sarif"); err != nil || format != output.SARIF {
		t.Errorf("sarif: %v, %v", format, err)
	}
	const want = `output "html" is none of table, json, sarif, junit, github`
	if _, err := output.Parse("html"); err == nil || err.Error() != want {
		t.Errorf("html: %v, want %s", err, want)
	}
}

// hostile is a report on a tree that wants to talk to a terminal and to a runner.
func hostile() *check.Report {
	const text = "::stop-commands::x\n::error::y\x1b[31m\r::add-mask::z ##[error]w"
	return &check.Report{
		Findings: []check.Finding{{
			Check: text, Rule: text, Severity: "high", Object: text, Path: text, Line: 1, Message: text, In: text,
			SetBy: []check.Place{{Path: text, Line: 2}}, Instance: text, State: check.StateNew, Fingerprint: "00ff",
		}, {Check: "c", Severity: "high", Path: "a", Line: 1, Message: text, Fingerprint: "01ff"}},
		Notes: []check.Note{{Check: text, Object: text, Path: text, Line: 3, Message: text}, {Message: text}},
	}
}

// What is checked may be anybody's: it gives a terminal no escapes, and the runner of
// GitHub no commands beside our own.
func TestNothingOfTheTreeIsACommand(t *testing.T) {
	t.Parallel()
	own := regexp.MustCompile(`^::(error|warning|notice) file=[^:,]*,line=\d+,title=[^:,]*::[^\n]*$`)
	for _, format := range output.Formats() {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := output.Write(&out, format, "v1.2.3", hostile()); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(out.String(), "\x1b\r") || strings.Contains(out.String(), "##[") {
				t.Errorf("it has an escape or a command:\n%q", out.String())
			}
			for line := range strings.Lines(out.String()) {
				line = strings.TrimSpace(line)
				if strings.HasPrefix(line, "::") && (format != output.GitHub || !own.MatchString(line)) {
					t.Errorf("a line is a command: %q", line)
				}
			}
		})
	}
}

// What JSON says is what the tree says.
func TestJSONSaysTheWholeText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := output.Write(&out, output.JSON, "v1.2.3", hostile()); err != nil {
		t.Fatal(err)
	}
	var got check.Report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if want := hostile().Findings[0].Message; got.Findings[0].Message != want {
		t.Errorf("message %q, want %q", got.Findings[0].Message, want)
	}
}
