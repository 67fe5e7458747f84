package output

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

// Format of a report.
type Format string

// Formats.
const (
	// Table is for people.
	Table Format = "table"
	// JSON is the report as it is.
	JSON Format = "json"
	// SARIF 2.1.0, for code scanning.
	SARIF Format = "sarif"
	// JUnit is one test case for each check and place.
	JUnit Format = "junit"
	// GitHub is workflow commands, which annotate the files of a pull request.
	GitHub Format = "github"
)

// Formats are all formats, the default first.
func Formats() []Format {
	return []Format{Table, JSON, SARIF, JUnit, GitHub}
}

// Parse returns the format of that name.
func Parse(name string) (Format, error) {
	if format := Format(name); slices.Contains(Formats(), format) {
		return format, nil
	}
	names := make([]string, 0, len(Formats()))
	for _, format := range Formats() {
		names = append(names, string(format))
	}
	return "", fmt.Errorf("output %q is none of %s", name, strings.Join(names, ", "))
}

// Write a report to out. The version is this program's.
func Write(out io.Writer, format Format, version string, report *check.Report) error {
	var err error
	switch format {
	case JSON:
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	case SARIF:
		err = writeSARIF(out, version, report)
	case JUnit:
		err = writeJUnit(out, report)
	case GitHub:
		err = writeGitHub(out, report)
	case Table:
		err = writeTable(out, report)
	default:
		err = fmt.Errorf("output %q is unknown", format)
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// open are the findings that are there now, those that are no longer judged among
// them: nobody has mended them.
func open(report *check.Report) []*check.Finding {
	var out []*check.Finding
	for i := range report.Findings {
		if report.Findings[i].State != check.StateFixed {
			out = append(out, &report.Findings[i])
		}
	}
	return out
}

// about is a finding's object and message in one line. A message that names the
// object is not headed by it.
func about(f *check.Finding) string {
	text := f.Message
	if f.Object != "" && !strings.Contains(text, f.Object) && !strings.Contains(text, short(f.Object)) {
		text = f.Object + ": " + text
	}
	for i, place := range f.SetBy {
		if i == 0 {
			text += "; set by "
		} else {
			text += ", "
		}
		text += fmt.Sprintf("%s:%d", place.Path, place.Line)
	}
	if f.Instance != "" && !strings.HasPrefix(f.Check, "patch-") {
		text += " (made by flux-operator from FluxInstance " + f.Instance + ")"
	}
	return clean(text)
}

// clean makes one line without control characters of a text that manifests have
// a say in: it may go to a terminal.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// short is "Deployment ns/name" for "apps/v1/Deployment ns/name".
func short(object string) string {
	kind, name, _ := strings.Cut(object, " ")
	return kind[strings.LastIndexByte(kind, '/')+1:] + " " + name
}
