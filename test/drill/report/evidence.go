package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mainstay-dev/mainstay/test/drill/record"
)

// crashLine is what a controller says that cannot reach the kubernetes Service.
const crashLine = "dial tcp 10.96.0.1:443: i/o timeout"

// incident quotes the first run of stock Flux whose controller died of what the
// project exists for.
func (r Report) incident(out *strings.Builder) {
	for _, run := range r.Runs {
		if run.Variant != stock || run.Measured == nil {
			continue
		}
		for _, pod := range run.Evidence.Pods {
			if slices.ContainsFunc(pod.Log, func(l string) bool { return strings.Contains(l, crashLine) }) {
				tellIncident(out, run, pod)
				return
			}
		}
	}
}

func tellIncident(out *strings.Builder, run record.Run, pod record.Pod) {
	e := run.Evidence
	fmt.Fprintf(out, "### The incident, as %s saw it\n\n", run.Key)
	fmt.Fprintf(out, "- Node %s, which was hit, said Ready: %s\n", e.Worker, said(e.Nodes, e.Worker))
	fmt.Fprintf(out, "- the measured object said: %s\n", said(e.Delivery, ""))
	fmt.Fprintf(out, "- pod %s restarted %d times", pod.Name, pod.Restarts)
	if pod.Waiting != "" {
		fmt.Fprintf(out, ", waits as %s", pod.Waiting)
	}
	if pod.Ended != "" {
		fmt.Fprintf(out, ", ended last with %s", pod.Ended)
	}
	fmt.Fprintf(out, "\n- moved to another worker: %s\n\n", moved(run))
	fmt.Fprintf(out, "The end of its former container's log:\n\n```text\n%s\n```\n\n", strings.Join(pod.Log, "\n"))
}

// said is what was seen of one thing, or of everything when name is empty.
func said(seen []record.Seen, name string) string {
	var parts []string
	for _, s := range seen {
		if name != "" && s.Name != name {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s (%.0f to %.0f s)", s.Value, s.From, s.To))
	}
	if len(parts) == 0 {
		return "–"
	}
	return strings.Join(parts, ", ")
}

// nodesSaid is what the Node said that was hit, and of a fault of the whole cluster
// what those said that did not say True all the time.
func nodesSaid(e record.Evidence) string {
	if e.Worker != "" || len(e.Nodes) == 0 {
		return said(e.Nodes, e.Worker)
	}
	var parts []string
	for _, s := range e.Nodes {
		if s.Value != "True" {
			parts = append(parts, s.Name+": "+said([]record.Seen{s}, ""))
		}
	}
	if len(parts) == 0 {
		return "all True"
	}
	return strings.Join(parts, ", ")
}

func restarts(pods []record.Pod) string {
	if len(pods) == 0 {
		return "–"
	}
	var sum int32
	for _, pod := range pods {
		sum += pod.Restarts
	}
	return strconv.Itoa(int(sum))
}

func moved(run record.Run) string {
	switch {
	case run.Controller == "":
		return "–"
	case run.Evidence.Moved:
		return "yes"
	default:
		return "no"
	}
}

func interventions(list []record.Intervention) string {
	if len(list) == 0 {
		return "–"
	}
	parts := make([]string, 0, len(list))
	for _, iv := range list {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %s %s at %.0f s", iv.Action, iv.Target, iv.Phase, iv.Verdict, iv.At)))
	}
	return strings.Join(parts, ", ")
}
