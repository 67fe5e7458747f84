package record

import (
	"strconv"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/test/stall"
)

// Key names one run.
type Key struct {
	// Variant is what was installed: stock, patches or mainstay.
	Variant string `json:"variant"`
	// Fault by its name in test/faults.
	Fault string `json:"fault"`
	// Controller whose worker, or whose process, was hit. Empty for a fault of the
	// whole cluster.
	Controller string `json:"controller,omitempty"`
	// Number counts the runs of the same variant, fault and controller, from 1.
	Number int `json:"number"`
}

// String is the key as progress lines and file names have it.
func (k Key) String() string {
	parts := []string{k.Variant, k.Fault}
	if k.Controller != "" {
		parts = append(parts, k.Controller)
	}
	return strings.Join(append(parts, strconv.Itoa(k.Number)), "/")
}

// Run is what is known of one run.
type Run struct {
	Key
	// Setup is a digest of what was installed: two runs with the same Setup were
	// measured on the same manifests and programs.
	Setup string `json:"setup"`
	// Versions of what ran, by name.
	Versions map[string]string `json:"versions,omitempty"`
	// CapSeconds is how long the fault was given to be recovered from.
	CapSeconds float64 `json:"capSeconds"`
	// Started is when the run began, and TookSeconds how long it took with
	// everything before and after the fault.
	Started     time.Time `json:"started"`
	TookSeconds float64   `json:"tookSeconds"`
	// InjectSeconds is how long it took until the fault was in force. The stall counts
	// from the beginning of that.
	InjectSeconds float64 `json:"injectSeconds,omitempty"`
	// Load is how busy the machine was; nil where the system does not tell.
	Load *Load `json:"load,omitempty"`
	// Unsupported says why this machine cannot produce the fault. There is no
	// measurement then.
	Unsupported string `json:"unsupported,omitempty"`
	// Problem says why there is no measurement although the fault could be produced.
	Problem string `json:"problem,omitempty"`
	// Measured is the outcome.
	Measured *stall.Result `json:"measured,omitempty"`
	// Evidence is what was seen beside the outcome.
	Evidence Evidence `json:"evidence"`
}

// Load is what else the machine did during a run.
type Load struct {
	// Before and After are the load averages of one minute at the fault and at the end
	// of the measurement: how many threads ran or waited to run.
	Before float64 `json:"before"`
	After  float64 `json:"after"`
	// Clusters with real workers that there were on the machine at the fault, the
	// measured one among them.
	Clusters int `json:"clusters"`
}

// Evidence is what was seen during a run beside its outcome.
type Evidence struct {
	// Worker that was hit.
	Worker string `json:"worker,omitempty"`
	// Nodes is what the Ready condition of each Node said.
	Nodes []Seen `json:"nodes,omitempty"`
	// Delivery is what the Ready condition of the measured Kustomization or
	// HelmRelease said.
	Delivery []Seen `json:"delivery,omitempty"`
	// Pods of the controller that was hit.
	Pods []Pod `json:"pods,omitempty"`
	// Moved says whether a pod of the controller ran elsewhere at the end than at
	// the fault.
	Moved bool `json:"moved"`
	// Placement is where every pod of the GitOps control plane and of cluster DNS
	// was when the fault came.
	Placement []Place `json:"placement,omitempty"`
	// Interventions that Mainstay made.
	Interventions []Intervention `json:"interventions,omitempty"`
	// Rebuilt says why the cluster was built anew before this run.
	Rebuilt string `json:"rebuilt,omitempty"`
	// Notes is what could not be seen, and why.
	Notes []string `json:"notes,omitempty"`
}

// Seen is one value that something had, and from when to when, in seconds since
// the fault.
type Seen struct {
	Name  string  `json:"name"`
	Value string  `json:"value"`
	From  float64 `json:"fromSeconds"`
	To    float64 `json:"toSeconds"`
}

// Pod of a controller, as it was at the end of the measurement.
type Pod struct {
	Name string `json:"name"`
	Node string `json:"node"`
	// Restarts since the fault.
	Restarts int32 `json:"restarts"`
	// Waiting is the reason that the kubelet gives for not running it, such as
	// CrashLoopBackOff.
	Waiting string `json:"waiting,omitempty"`
	// Ended is the reason and the exit code of its last end.
	Ended string `json:"ended,omitempty"`
	// Log is the end of the log of its former container.
	Log []string `json:"log,omitempty"`
}

// Place is where a pod was.
type Place struct {
	Pod  string `json:"pod"`
	Node string `json:"node"`
	// Leads says that the pod held its controller's Lease.
	Leads bool `json:"leads,omitempty"`
}

// Intervention is an action of Mainstay.
type Intervention struct {
	Action  string `json:"action"`
	Target  string `json:"target"`
	Node    string `json:"node,omitempty"`
	Phase   string `json:"phase"`
	Verdict string `json:"verdict,omitempty"`
	Reason  string `json:"reason"`
	// At is when it was claimed, in seconds since the fault, by the API server's
	// clock and so to the second.
	At float64 `json:"atSeconds"`
}
