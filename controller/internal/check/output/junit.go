package output

import (
	"encoding/xml"
	"fmt"
	"io"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	ClassName string        `xml:"classname,attr"`
	File      string        `xml:"file,attr,omitempty"`
	Line      int           `xml:"line,attr,omitempty"`
	Failure   *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit writes a failed test case for each finding, and one that passed
// where there is none: viewers take an empty suite for one that did not run.
func writeJUnit(out io.Writer, report *check.Report) error {
	suite := junitSuite{Name: "mainstay check"}
	for _, f := range open(report) {
		suite.Cases = append(suite.Cases, junitCase{
			Name: clean(f.Object), ClassName: clean(f.Check), File: visible(f.Path), Line: f.Line,
			Failure: &junitFailure{
				Message: clean(f.Message), Type: string(f.Severity),
				Text: clean(fmt.Sprintf("%s:%d: %s", f.Path, f.Line, about(f))),
			},
		})
	}
	suite.Failures = len(suite.Cases)
	if suite.Failures == 0 {
		suite.Cases = []junitCase{{Name: counted(report), ClassName: "check"}}
	}
	suite.Tests = len(suite.Cases)
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return fmt.Errorf("write the suite: %w", err)
	}
	encoder := xml.NewEncoder(out)
	encoder.Indent("", "  ")
	all := junitSuites{Tests: suite.Tests, Failures: suite.Failures, Suites: []junitSuite{suite}}
	if err := encoder.Encode(all); err != nil {
		return fmt.Errorf("encode the suite: %w", err)
	}
	_, err := io.WriteString(out, "\n")
	if err != nil {
		return fmt.Errorf("write the suite: %w", err)
	}
	return nil
}
