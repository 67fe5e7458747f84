package output

import (
	"fmt"
	"io"
	"strings"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// writeGitHub writes one workflow command for each finding and for each note about a place,
// and for people the other notes and one line. A command is about the patch that set what is
// wrong, where there is one: a pull request shows what is on lines that it changes. Two
// objects that come from one place with one message are one.
func writeGitHub(out io.Writer, report *check.Report) error {
	said := map[string]bool{}
	command := func(level string, at check.Place, title, text string) error {
		line := fmt.Sprintf("::%s file=%s,line=%d,title=%s::%s\n", level, property(visible(at.Path)), at.Line, property(clean(title)), data(text))
		if said[line] {
			return nil
		}
		said[line] = true
		if _, err := io.WriteString(out, line); err != nil {
			return fmt.Errorf("write the annotations: %w", err)
		}
		return nil
	}
	for _, f := range open(report) {
		place := check.Place{Path: f.Path, Line: f.Line}
		if len(f.SetBy) > 0 {
			place = f.SetBy[0]
		}
		if err := command(githubLevel(f.Severity), place, f.Check+" ("+string(f.Severity)+")", about(f)); err != nil {
			return err
		}
	}
	var lines []string
	for i := range report.Notes {
		n := &report.Notes[i]
		if n.Path != "" {
			if err := command("notice", check.Place{Path: n.Path, Line: n.Line}, n.Check, clean(noted(n))); err != nil {
				return err
			}
		} else if line := note(n); !said[line] {
			said[line] = true
			lines = append(lines, line)
		}
	}
	for _, line := range append(lines, counted(report)) {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return fmt.Errorf("write the notes: %w", err)
		}
	}
	return nil
}

func githubLevel(s v1alpha1.Severity) string {
	switch {
	case check.Rank(s) >= check.Rank(v1alpha1.SeverityHigh):
		return "error"
	case s == v1alpha1.SeverityMedium:
		return "warning"
	}
	return "notice"
}

// data escapes the text of a workflow command.
func data(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(text)
}

// property escapes the value of a workflow command's property.
func property(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(text)
}
