package check

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

// Checks that are not rules. The check of a rule's finding is the rule's name.
const (
	// PatchMatchesNothing: a patch selects no object.
	PatchMatchesNothing = "patch-matches-nothing"
	// PatchChangesNothing: a patch selects objects and leaves all of them as
	// they are.
	PatchChangesNothing = "patch-changes-nothing"
	// PatchOverridden: two patches of one kustomization set the same field of
	// the same object to different values.
	PatchOverridden = "patch-overridden"
	// PatchByIndex: a JSON patch replaces or removes a container's argument by
	// its place in the list.
	PatchByIndex = "patch-replaces-argument-by-index"
	// ObjectInvalid: an object is not what its kind says.
	ObjectInvalid = "object-invalid"
	// SpreadPairTwice: a pod has two topology spread constraints with the same
	// topologyKey and whenUnsatisfiable, which the API server rejects.
	SpreadPairTwice = "spread-pair-twice"
	// BudgetBlocksDrain: a PodDisruptionBudget never lets a pod be evicted.
	BudgetBlocksDrain = "pdb-blocks-drain"
	// BudgetsOverlap: two PodDisruptionBudgets select the same pod.
	BudgetsOverlap = "pdbs-overlap"
	// FileServerProbe: the readiness probe of a Flux controller with a file
	// server does not ask that file server.
	FileServerProbe = "flux-file-server-probe"
	// LifelineSurvives: a member of a Lifeline would be stopped by the loss of
	// one worker.
	LifelineSurvives = "lifeline-survives"
	// KustomizationMixes: a Kustomization of Flux applies what mends a cluster
	// and, or after, what a rule guards.
	KustomizationMixes = "kustomization-mixes-recovery-path"
	// KustomizationPathMissing: a Kustomization of Flux builds a folder that the
	// repository does not have, or has behind a symlink.
	KustomizationPathMissing = "kustomization-path-missing"
	// RuleInvalid: a rule of the tree does not compile, or is one that the cluster
	// would reject.
	RuleInvalid = "rule-invalid"
	// RuleFailed: a rule could not be evaluated on an object.
	RuleFailed = "rule-failed"
	// RuleWeakened: a rule asks for less than it did in the revision that is
	// compared with, or than the one of its name beside the tree.
	RuleWeakened = "rule-weakened"
)

// Names of notes that no finding has.
const (
	// Encrypted: SOPS encrypted values, which are not seen.
	Encrypted = "encrypted"
	// NotRendered: what a controller makes of an object is not known.
	NotRendered = "not-rendered"
	// Symlink: a file is reached through one, which Flux does not fetch.
	Symlink = "symlink"
	// DotFolder: a folder is left out for its name, and Flux fetches what Git has of it.
	DotFolder = "dot-folder"
)

// State of a finding against another revision.
type State string

// States.
const (
	StateNew       State = "new"
	StateFixed     State = "fixed"
	StateUnchanged State = "unchanged"
	// StateUnjudged: a rule or Lifeline as it was finds it, and as it is now does not.
	StateUnjudged State = "unjudged"
)

// Finding is one thing that is wrong.
type Finding struct {
	// Check is the name of the rule, or one of the constants above.
	Check string `json:"check"`
	// Rule is ClusterRule/name or Rule/namespace/name; empty where the check is
	// no rule.
	Rule     string            `json:"rule,omitempty"`
	Severity v1alpha1.Severity `json:"severity"`
	// Object that the finding is about, as "apps/v1/Deployment ns/name"; of a
	// patch, its target as written.
	Object string `json:"object,omitempty"`
	// Path of the source manifest, relative to the tree's root, and its line
	// from 1. In another revision they are those of that revision.
	Path string `json:"path"`
	Line int    `json:"line"`
	// Instance is namespace/name of the FluxInstance that gives the object or
	// holds the patch.
	Instance string `json:"instance,omitempty"`
	Message  string `json:"message"`
	// SetBy are the patches that set what was judged of the object, the last one
	// first.
	SetBy []Place `json:"setBy,omitempty"`
	// Docs is the address of a page about the check.
	Docs string `json:"docs,omitempty"`
	// In is the path that was checked, relative to the tree's root.
	In string `json:"in"`
	// Cluster is true of an object that is in the cluster and not in the tree:
	// Path and Line are those of the rule.
	Cluster bool `json:"cluster,omitempty"`
	// State is set where another revision was compared with.
	State State `json:"state,omitempty"`
	// Fingerprint is the same in another revision where the finding is: 32
	// hexadecimal digits that depend on neither message nor line.
	Fingerprint string `json:"fingerprint"`
}

// Note is something that the reader should know and that is no mistake: what
// could not be judged, or which of two layers wins.
type Note struct {
	Check   string `json:"check"`
	Object  string `json:"object,omitempty"`
	Path    string `json:"path,omitempty"`
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
	// In is the path that was checked, relative to the tree's root.
	In string `json:"in"`
}

// Report is what a check found, in a stable order.
type Report struct {
	// Findings by severity, worst first, then by place.
	Findings []Finding `json:"findings"`
	Notes    []Note    `json:"notes,omitempty"`
	// Against is the revision that was compared with; then Findings holds what
	// is new, what is fixed and what is no longer judged, and Unchanged counts
	// the rest.
	Against   string  `json:"against,omitempty"`
	Unchanged int     `json:"unchanged,omitempty"`
	Summary   Summary `json:"summary"`

	// runs that the report was joined from.
	runs []*run
}

// Summary counts what was looked at.
type Summary struct {
	Objects   int `json:"objects"`
	Patches   int `json:"patches"`
	Rules     int `json:"rules"`
	Lifelines int `json:"lifelines"`
}

// Worst is the highest severity among the findings that count: all of them, or
// those that are new or no longer judged. It is empty where there is none.
func (r *Report) Worst() v1alpha1.Severity {
	var worst v1alpha1.Severity
	for i := range r.Findings {
		if r.Findings[i].State != StateFixed && Rank(r.Findings[i].Severity) > Rank(worst) {
			worst = r.Findings[i].Severity
		}
	}
	return worst
}

// Severities are all severities, least first.
func Severities() []v1alpha1.Severity {
	return []v1alpha1.Severity{
		v1alpha1.SeverityInfo, v1alpha1.SeverityLow, v1alpha1.SeverityMedium,
		v1alpha1.SeverityHigh, v1alpha1.SeverityCritical,
	}
}

// Rank orders severities: -1 for one that is unknown, 0 for info, up to 4.
func Rank(s v1alpha1.Severity) int {
	return slices.Index(Severities(), s)
}

// sort puts a report in its order.
func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(Rank(b.Severity), Rank(a.Severity)),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Check, b.Check), cmp.Compare(a.Object, b.Object), cmp.Compare(a.In, b.In))
	})
	slices.SortStableFunc(r.Notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Check, b.Check), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Object, b.Object), cmp.Compare(a.Message, b.Message), cmp.Compare(a.In, b.In))
	})
}

// fingerprintLength is how many hexadecimal digits of the digest are kept.
const fingerprintLength = 32

// fingerprint is a digest of what makes two findings the same.
func fingerprint(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])[:fingerprintLength]
}
