package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/test/drill/record"
	"github.com/mainstay-dev/mainstay/test/stall"
)

// Markdown is the report as people read it.
func (r Report) Markdown() string {
	var out strings.Builder
	r.head(&out)
	r.matrix(&out)
	r.missing(&out)
	r.incident(&out)
	r.everyRun(&out)
	return out.String()
}

func (r Report) head(out *strings.Builder) {
	if len(r.Runs) == 0 {
		out.WriteString("There are no runs.\n")
		return
	}
	versions := make([]string, 0, len(r.Versions))
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		versions = append(versions, name+" "+r.Versions[name])
	}
	fmt.Fprintf(out, "%d runs from %s to %s on %s: %s.\n\n", len(r.Runs),
		r.From.UTC().Format(time.DateOnly), r.To.UTC().Format(time.DateOnly), r.Machine, strings.Join(versions, ", "))
	if r.Former > 0 {
		fmt.Fprintf(out, "%d more runs are left out: those of the same fault that were measured last had other manifests or programs.\n\n", r.Former)
	}
	out.WriteString("A figure is the stall: the time from the fault to the first commit made after it being live. " +
		"Several runs give the median with the range and their number, twenty and more the 95th percentile.\n\n")
}

// rows are the pairs of a fault and a controller that have a cell.
func (r Report) rows() [][2]string {
	var out [][2]string
	for _, fault := range r.Faults {
		for _, controller := range append(slices.Clone(r.Controllers), "") {
			if slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.Fault == fault.Name && c.Controller == controller }) {
				out = append(out, [2]string{fault.Name, controller})
			}
		}
	}
	return out
}

// columns are the variants that have a cell.
func (r Report) columns() []string {
	return slices.DeleteFunc(slices.Clone(r.Variants), func(v string) bool {
		return !slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.Variant == v })
	})
}

func (r Report) matrix(out *strings.Builder) {
	variants := r.columns()
	if len(variants) == 0 {
		return
	}
	header := append([]string{"fault", "hits"}, variants...)
	last := variants[len(variants)-1]
	var compared []string
	for _, against := range variants[:len(variants)-1] {
		if slices.ContainsFunc(r.Ratios, func(x Ratio) bool { return x.Variant == last && x.Against == against }) {
			compared = append(compared, against)
			header = append(header, last+" / "+against)
		}
	}
	line(out, header...)
	rule(out, len(header))
	for _, row := range r.rows() {
		cols := []string{"`" + row[0] + "`", whom(row[1])}
		for _, variant := range variants {
			cols = append(cols, r.cell(variant, row[0], row[1]).text())
		}
		for _, against := range compared {
			cols = append(cols, r.ratio(last, against, row[0], row[1]))
		}
		line(out, cols...)
	}
	out.WriteString("\n")
	for _, fault := range r.Faults {
		if slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.Fault == fault.Name }) {
			fmt.Fprintf(out, "- `%s`: %s\n", fault.Name, fault.Description)
		}
	}
	out.WriteString("\n")
}

func (r Report) ratio(variant, against, fault, controller string) string {
	for _, x := range r.Ratios {
		if x.Variant == variant && x.Against == against && x.Fault == fault && x.Controller == controller {
			return x.text()
		}
	}
	return "–"
}

// missing lists what has no measurement, with the reason.
func (r Report) missing(out *strings.Builder) {
	var lines []string
	for _, run := range r.Runs {
		switch {
		case run.Unsupported != "":
			lines = append(lines, fmt.Sprintf("- `%s` cannot be produced on this machine: %s", run.Fault, oneLine(run.Unsupported)))
		case run.Problem != "":
			lines = append(lines, fmt.Sprintf("- %s has no measurement: %s", run.Key, oneLine(run.Problem)))
		}
	}
	if len(lines) == 0 {
		return
	}
	slices.Sort(lines)
	out.WriteString("### What was not measured\n\n" + strings.Join(slices.Compact(lines), "\n") + "\n\n")
}

// everyRun lists the runs one by one.
func (r Report) everyRun(out *strings.Builder) {
	if !slices.ContainsFunc(r.Runs, func(run record.Run) bool { return run.Measured != nil }) {
		return
	}
	out.WriteString("### Every run\n\n")
	header := []string{"run", "cap", "in force after", "stall", "longest gap", "healthy lag", "load", "Ready said meanwhile", "Node said", "restarts", "moved", "interventions"}
	line(out, header...)
	rule(out, len(header))
	for _, run := range r.Runs {
		m := run.Measured
		if m == nil {
			continue
		}
		line(out, run.String(), span(run.CapSeconds), inForce(run), stallOf(m), gapOf(m),
			fmt.Sprintf("%s (max %s)", m.Baseline.Median, m.Baseline.Max), load(run.Load),
			said(run.Evidence.Delivery, ""), nodesSaid(run.Evidence),
			restarts(run.Evidence.Pods), moved(run), interventions(run.Evidence.Interventions))
	}
	out.WriteString("\n")
}

// stallOf is a run's stall, with how much shorter it may have been where the cluster
// could not be looked at.
func stallOf(m *stall.Result) string {
	switch {
	case m.Stall == nil:
		return "none"
	case m.Uncertainty >= stall.Seconds(time.Second):
		return fmt.Sprintf("%s (up to %s less)", *m.Stall, m.Uncertainty)
	default:
		return m.Stall.String()
	}
}

// gapOf is a run's longest gap, in bold where it tells more than the stall, and when
// the last one was over that is not the stall itself.
func gapOf(m *stall.Result) string {
	text := m.LongestGap.String()
	if m.Stall != nil && m.LongestGap > *m.Stall+stall.Seconds(gapWorthSaying*time.Second) {
		text = "**" + text + "**"
	}
	switch {
	case m.LastGapEnd == 0 || m.Stall != nil && m.LastGapEnd <= *m.Stall:
		return text
	case m.LastGapEnd == m.Observed:
		return text + ", not over"
	default:
		return fmt.Sprintf("%s, over at %s", text, m.LastGapEnd)
	}
}

// inForce is how long the injection took; a dash in a record that does not have it.
func inForce(run record.Run) string {
	if run.InjectSeconds == 0 {
		return "–"
	}
	return figure(run.InjectSeconds)
}

// load is how busy the machine was.
func load(l *record.Load) string {
	if l == nil {
		return "–"
	}
	return fmt.Sprintf("%.1f to %.1f, %d clusters", l.Before, l.After, l.Clusters)
}

func line(out *strings.Builder, cols ...string) {
	for i := range cols {
		cols[i] = strings.ReplaceAll(oneLine(cols[i]), "|", "\\|")
	}
	fmt.Fprintf(out, "| %s |\n", strings.Join(cols, " | "))
}

func rule(out *strings.Builder, columns int) {
	out.WriteString(strings.Repeat("| --- ", columns) + "|\n")
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// whom says what a fault hits.
func whom(controller string) string {
	if controller == "" {
		return "the whole cluster"
	}
	return controller
}
