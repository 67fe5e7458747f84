package output

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// writeTable writes two lines for a finding: what and where, and why.
func writeTable(out io.Writer, report *check.Report) error {
	var text bytes.Buffer
	state, name := 0, 0
	for i := range report.Findings {
		state = max(state, len(report.Findings[i].State))
		name = max(name, len(clean(report.Findings[i].Check)))
	}
	for i := range report.Findings {
		f := &report.Findings[i]
		if state > 0 {
			fmt.Fprintf(&text, "%-*s  ", state, f.State)
		}
		fmt.Fprintf(&text, "%-8s  %-*s  %s:%d\n", f.Severity, name, clean(f.Check), visible(f.Path), f.Line)
		fmt.Fprintf(&text, "    %s\n", about(f))
	}
	if len(report.Findings) > 0 {
		text.WriteString("\n")
	}
	all := notes(report)
	for _, line := range all {
		text.WriteString(line + "\n")
	}
	if len(all) > 0 {
		text.WriteString("\n")
	}
	fmt.Fprintf(&text, "%s in %s, %s; %s, %s\n", counted(report),
		number(report.Summary.Objects, "object"), number2(report.Summary.Patches, "patch", "patches"),
		number(report.Summary.Rules, "rule"), number(report.Summary.Lifelines, "Lifeline"))
	_, err := out.Write(text.Bytes())
	if err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// counted says how many findings there are, of each severity.
func counted(report *check.Report) string {
	var findings []*check.Finding
	unjudged, fixed := 0, 0
	for i := range report.Findings {
		switch f := &report.Findings[i]; f.State {
		case check.StateFixed:
			fixed++
		case check.StateUnjudged:
			unjudged++
		case check.StateNew, check.StateUnchanged, "":
			findings = append(findings, f)
		}
	}
	var by []string
	for _, severity := range slices.Backward(check.Severities()) {
		n := 0
		for _, f := range findings {
			if f.Severity == severity {
				n++
			}
		}
		if n > 0 {
			by = append(by, fmt.Sprintf("%d %s", n, severity))
		}
	}
	kind := "finding"
	if report.Against != "" {
		kind = "new finding"
	}
	text := number(len(findings), kind)
	if len(by) > 0 {
		text += " (" + strings.Join(by, ", ") + ")"
	}
	if unjudged > 0 {
		text += fmt.Sprintf(", %d no longer judged", unjudged)
	}
	if report.Against != "" {
		text += fmt.Sprintf(", %d fixed, %d unchanged against %s", fixed, report.Unchanged, report.Against)
	}
	return text
}

func number(n int, one string) string {
	return number2(n, one, one+"s")
}

func number2(n int, one, many string) string {
	switch n {
	case 0:
		return "no " + many
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
