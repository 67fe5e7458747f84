package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Label names.
const (
	labelKind      = "kind"
	labelNamespace = "namespace"
	labelName      = "name"
	labelOutcome   = "outcome"
	labelSeverity  = "severity"
	labelMember    = "member"
	labelAction    = "action"
	labelPhase     = "phase"
	labelResult    = "result"
	labelVerdict   = "verdict"
)

// Verdicts of reviews.
const (
	VerdictAllowed = "allowed"
	VerdictDenied  = "denied"
	// VerdictError is a review that failed, or a rule that could not be
	// evaluated while none denied.
	VerdictError = "error"
)

// Metrics are all of Mainstay's own metrics. Those that speak of findings and
// of Lifelines are set by the leader only, so that a sum over the replicas is
// right.
type Metrics struct {
	// Findings counts matched objects by rule and outcome.
	Findings *prometheus.GaugeVec
	// RuleReady is 1 for a rule that is compiled and watches what it reads.
	RuleReady *prometheus.GaugeVec
	// RuleEnforced is 1 for a rule by which requests are judged, and 0 for one by
	// which they should be and are not.
	RuleEnforced *prometheus.GaugeVec
	// Evaluations counts evaluations by outcome, on every replica.
	Evaluations *prometheus.CounterVec
	// EvaluationSeconds is the time of one batch of evaluations of one rule.
	EvaluationSeconds prometheus.Histogram
	// ReviewSeconds is the time in the handler of one admission review, from when all of
	// it was read, on every replica.
	ReviewSeconds prometheus.Histogram
	// Reviews counts admission reviews by verdict, on every replica.
	Reviews *prometheus.CounterVec
	// LifelineSurvives is 1 for a Lifeline that outlives any one domain.
	LifelineSurvives *prometheus.GaugeVec
	// LifelineMemberReady counts a member's ready replicas.
	LifelineMemberReady *prometheus.GaugeVec
	// LifelineLagging counts consumers that stopped following their source.
	LifelineLagging *prometheus.GaugeVec
	// LifelineLagKnown is 1 for a Lifeline with spec.lag whose lag can be told, else 0.
	LifelineLagKnown *prometheus.GaugeVec
	// Unlocked is 1 while all gates are open.
	Unlocked prometheus.Gauge
	// Interventions counts claims by action and final phase.
	Interventions *prometheus.CounterVec
	// Conflicts counts writes that another field manager kept from happening.
	Conflicts *prometheus.CounterVec
	// Truncations counts results that were cut to their bound, by kind.
	Truncations *prometheus.CounterVec
}

// New returns the metrics, registered.
func New(registry prometheus.Registerer) (*Metrics, error) {
	rule := []string{labelKind, labelNamespace, labelName}
	lifeline := []string{labelNamespace, labelName}
	m := &Metrics{
		Findings: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mainstay_rule_findings",
			Help: "Objects that a rule matches, by outcome (pass, fail, error, skip).",
		}, append(append([]string{}, rule...), labelSeverity, labelOutcome)),
		RuleReady: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mainstay_rule_ready",
			Help: "1 for a rule that is compiled and watches everything that it reads, else 0.",
		}, rule),
		RuleEnforced: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mainstay_rule_enforced",
			Help: "1 for a rule with mode Admission by which requests are judged, 0 for one by which they should be and are not.",
		}, rule),
		Evaluations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mainstay_evaluations_total",
			Help: "Evaluations of a rule on an object, by outcome, on this replica.",
		}, []string{labelOutcome}),
		EvaluationSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "mainstay_evaluation_batch_duration_seconds",
			Help:    "Time to re-evaluate what one change made necessary for one rule.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}),
		ReviewSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "mainstay_webhook_review_seconds",
			Help:    "Time in the handler of one admission review, once all of it was read.",
			Buckets: []float64{0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 3},
		}),
		Reviews: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mainstay_webhook_reviews_total",
			Help: "Admission reviews, by verdict (allowed, denied, error), on this replica.",
		}, []string{labelVerdict}),
		LifelineSurvives: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mainstay_lifeline_survives",
			Help: "1 for a Lifeline whose members outlive the loss of any one failure domain, else 0.",
		}, lifeline),
		LifelineMemberReady: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mainstay_lifeline_member_ready_replicas",
			Help: "Ready replicas of a Lifeline's member.",
		}, append(append([]string{}, lifeline...), labelMember)),
		LifelineLagging: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mainstay_lifeline_lagging_consumers",
			Help: "Kustomizations and HelmReleases that stopped following their source although their status does not say so.",
		}, lifeline),
		LifelineLagKnown: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mainstay_lifeline_lag_known",
			Help: "1 for a Lifeline with spec.lag that can tell which consumers lag, else 0.",
		}, lifeline),
		Unlocked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mainstay_unlocked",
			Help: "1 while somebody has all gates open by mainstay unlock, else 0.",
		}),
		Interventions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mainstay_interventions_total",
			Help: "Interventions that reached a final phase on this replica, by action and phase.",
		}, []string{labelAction, labelPhase}),
		Conflicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mainstay_apply_conflicts_total",
			Help: "Writes given up because another field manager owns a field.",
		}, []string{labelKind}),
		Truncations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mainstay_truncations_total",
			Help: "Status lists that were cut to their bound.",
		}, []string{labelResult}),
	}
	for _, c := range []prometheus.Collector{
		m.Findings, m.RuleReady, m.RuleEnforced, m.Evaluations, m.EvaluationSeconds, m.ReviewSeconds, m.Reviews,
		m.LifelineSurvives, m.LifelineMemberReady,
		m.LifelineLagging, m.LifelineLagKnown, m.Unlocked, m.Interventions, m.Conflicts, m.Truncations,
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
