package output

import (
	"bytes"
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
	// JUnit is one test case for each finding.
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
		err = encode(out, report)
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

// The runner of GitHub takes each line of a step's output for a command that begins
// with lineCommand, blanks before it left out, or has textCommand anywhere.
const (
	lineCommand = "::"
	textCommand = "##["
)

// clean makes one line, which neither a terminal nor a runner acts on, of a text that
// manifests have a say in.
func clean(text string) string {
	return Line(strings.Join(strings.Fields(visible(text)), " "))
}

// Line is a line without what a terminal or a runner acts on. Its blanks stay as they are.
func Line(text string) string {
	text = visible(text)
	if rest, isCommand := strings.CutPrefix(strings.TrimLeft(text, " "), lineCommand); isCommand {
		return ": :" + rest
	}
	return text
}

// visible is clean for a part of a line, whose blanks stay as they are.
func visible(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	return strings.ReplaceAll(text, textCommand, "## [")
}

// encode writes JSON for people to read, too. Of a command to a runner, which it can
// have within a string only, one character is escaped.
func encode(out io.Writer, value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("encode it: %w", err)
	}
	_, err := out.Write(bytes.ReplaceAll(text.Bytes(), []byte(textCommand), []byte(`#\u0023[`)))
	return err
}

// notes are the lines of a report's notes, each once.
func notes(report *check.Report) []string {
	var out []string
	said := map[string]bool{}
	for i := range report.Notes {
		if line := note(&report.Notes[i]); !said[line] {
			said[line] = true
			out = append(out, line)
		}
	}
	return out
}

func note(n *check.Note) string {
	line := "note: "
	if n.Path != "" {
		line += fmt.Sprintf("%s:%d: ", n.Path, n.Line)
	}
	return clean(line + noted(n))
}

// noted is what a note says, without its place, as it is.
func noted(n *check.Note) string {
	if n.Object == "" {
		return n.Message
	}
	return n.Object + ": " + n.Message
}

// short is "Deployment ns/name" for "apps/v1/Deployment ns/name".
func short(object string) string {
	kind, name, _ := strings.Cut(object, " ")
	return kind[strings.LastIndexByte(kind, '/')+1:] + " " + name
}
