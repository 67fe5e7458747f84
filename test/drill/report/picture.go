package report

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/template"

	"github.com/mainstay-dev/mainstay/test/drill/record"
	"github.com/mainstay-dev/mainstay/test/stall"
)

//go:embed stall.svg.tmpl
var pictureTemplate string

// Sizes of the picture, in pixels.
const (
	panelsAcross = 3
	panelWidth   = 250
	panelHeight  = 130
	marginLeft   = 56
	marginTop    = 84
	panelStepX   = panelWidth + 48
	panelStepY   = panelHeight + 56
)

// The axes are logarithmic, as stalls of 15 s and of 600 s are to be seen in one
// panel. Times below leastT and ages below leastAge are drawn at the edge.
const (
	leastT   = 1
	leastAge = 0.3
	// enough room for a stall as long as the longest cap that is usual.
	leastEnd = 600
)

type picture struct {
	Width, Height, PanelWidth, PanelHeight, TickY int
	Left, Middle, BelowY, CentreY                 int
	Label                                         string
	Legend                                        []legend
	Panels                                        []panel
}

type legend struct {
	Name, Class  string
	X, X2, TextX int
}

type panel struct {
	X, Y         int
	Title        string
	Down, Across []tick
	Lines        []curve
}

type tick struct{ At, Text string }

type curve struct{ Class, Points, Title string }

// Picture draws the stall curves as SVG: one panel for each fault with a line for
// each variant, the run with the median stall.
func (r Report) Picture() ([]byte, error) {
	tmpl, err := template.New("stall").Funcs(template.FuncMap{"esc": escape}).Parse(pictureTemplate)
	if err != nil {
		return nil, fmt.Errorf("reading the picture's template: %w", err)
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, r.draw()); err != nil {
		return nil, fmt.Errorf("drawing the stall curves: %w", err)
	}
	return out.Bytes(), nil
}

func (r Report) draw() picture {
	end := float64(leastEnd)
	for _, run := range r.Runs {
		if run.Measured != nil {
			end = max(end, seconds(run.Measured.Observed))
		}
	}
	p := picture{
		PanelWidth: panelWidth, PanelHeight: panelHeight, TickY: panelHeight + 14, Left: marginLeft,
		Label: "Age of the newest live commit over the seconds since a fault, one panel for each fault",
	}
	for _, fault := range r.Faults {
		one := panel{Title: fault.Name, Down: ticks(end, acrossAt(end)), Across: ticks(end, upAt(end))}
		for _, variant := range r.Variants {
			if run, found := r.typical(variant, fault.Name); found {
				one.Lines = append(one.Lines, curve{
					Class: variant, Title: run.String(), Points: points(run.Measured.Curve, end),
				})
				if one.Title == fault.Name && run.Controller != "" {
					one.Title += " (" + strings.TrimSuffix(run.Controller, "-controller") + ")"
				}
			}
		}
		if len(one.Lines) == 0 {
			continue
		}
		one.X = marginLeft + len(p.Panels)%panelsAcross*panelStepX
		one.Y = marginTop + len(p.Panels)/panelsAcross*panelStepY
		p.Panels = append(p.Panels, one)
	}
	for i, variant := range r.columns() {
		x := marginLeft + i*110
		p.Legend = append(p.Legend, legend{Name: variant, Class: variant, X: x, X2: x + 28, TextX: x + 34})
	}
	rows := (len(p.Panels) + panelsAcross - 1) / panelsAcross
	p.Width = marginLeft + panelsAcross*panelStepX
	p.Height = marginTop + rows*panelStepY + 12
	p.Middle, p.BelowY, p.CentreY = p.Width/2, p.Height-12, p.Height/2
	return p
}

// typical is the run whose stall is the median, of the first controller that has
// one; of an even number the longer of the two in the middle.
func (r Report) typical(variant, fault string) (record.Run, bool) {
	for _, controller := range append(slices.Clone(r.Controllers), "") {
		runs := slices.DeleteFunc(slices.Clone(r.Runs), func(run record.Run) bool {
			return run.Variant != variant || run.Fault != fault || run.Controller != controller ||
				run.Measured == nil || len(run.Measured.Curve) == 0
		})
		if len(runs) == 0 {
			continue
		}
		slices.SortStableFunc(runs, func(a, b record.Run) int {
			return cmp.Compare(length(a), length(b))
		})
		return runs[len(runs)/2], true
	}
	return record.Run{}, false
}

// length orders runs by their stall. One that did not recover is longer than all.
func length(run record.Run) float64 {
	if run.Measured.Stall == nil {
		return math.MaxFloat64
	}
	return seconds(*run.Measured.Stall)
}

func acrossAt(end float64) func(float64) float64 {
	return func(v float64) float64 { return panelWidth * along(v, leastT, end) }
}

func upAt(end float64) func(float64) float64 {
	return func(v float64) float64 { return panelHeight * (1 - along(v, leastAge, end)) }
}

// along is where a value is between two ends of a logarithmic axis, from 0 to 1.
func along(v, low, high float64) float64 {
	v = min(max(v, low), high)
	return math.Log(v/low) / math.Log(high/low)
}

func ticks(end float64, at func(float64) float64) []tick {
	var out []tick
	for _, v := range []float64{1, 10, 60, 600, 3600} {
		if v <= end {
			out = append(out, tick{At: fmt.Sprintf("%.1f", at(v)), Text: fmt.Sprintf("%.0f", v)})
		}
	}
	return out
}

// step is by which factor the time grows from one drawn point to the next within a
// straight part of a curve, which is not straight on logarithmic axes.
const step = 1.12

// points are those of a polyline, from the left edge on. Points that fall on the one
// before are left out.
func points(from []stall.Point, end float64) string {
	x, y := acrossAt(end), upAt(end)
	var out strings.Builder
	last := ""
	add := func(t, age float64) {
		next := fmt.Sprintf("%.1f,%.1f", x(t), y(age))
		if next == last {
			return
		}
		if last != "" {
			out.WriteByte(' ')
		}
		out.WriteString(next)
		last = next
	}
	for i := 1; i < len(from); i++ {
		t0, age0 := seconds(from[i-1].T), seconds(from[i-1].Age)
		t1, age1 := seconds(from[i].T), seconds(from[i].Age)
		if t1 < leastT {
			continue
		}
		for t := max(t0, leastT); t < t1; t *= step {
			add(t, age0+(age1-age0)*(t-t0)/(t1-t0))
		}
		add(t1, age1)
	}
	return out.String()
}

func escape(s string) (string, error) {
	var out bytes.Buffer
	if err := xml.EscapeText(&out, []byte(s)); err != nil {
		return "", fmt.Errorf("escaping %q: %w", s, err)
	}
	return out.String(), nil
}
