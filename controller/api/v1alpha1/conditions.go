package v1alpha1

// Condition types.
const (
	// ConditionReady is True while a rule is compiled and watches everything
	// that it reads. Violations do not make a rule unready.
	ConditionReady = "Ready"

	// ConditionStalled is True on an object that cannot work until its spec is
	// changed (the kstatus convention: a Flux health check fails at once).
	ConditionStalled = "Stalled"

	// ConditionEnforced is True on a rule with mode Admission while requests are
	// judged by its present generation. Absent without that
	// mode.
	ConditionEnforced = "Enforced"

	// ConditionSurvivable is True on a Lifeline whose members outlive the loss
	// of any one failure domain.
	ConditionSurvivable = "Survivable"

	// ConditionAlive is False on a Lifeline where a consumer stopped following
	// its source although its own status says Ready. Absent without spec.lag.
	ConditionAlive = "Alive"

	// ConditionHealing says what the healer of a Lifeline does, or why it does
	// nothing although the Lifeline would not survive.
	ConditionHealing = "Healing"
)

// Reasons of a rule's Ready, Stalled and Enforced conditions, some of them a Lifeline's
// too.
const (
	// ReasonSucceeded: compiled, and every kind that it reads is watched.
	ReasonSucceeded = "Succeeded"
	// ReasonSuspended: spec.suspend is true.
	ReasonSuspended = "Suspended"
	// ReasonInvalidExpression: an expression does not compile. Stalled.
	ReasonInvalidExpression = "InvalidExpression"
	// ReasonInvalidSpec: a selector or reference cannot be used. Stalled.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonKindNotFound: the API server serves none of the kinds that the
	// rule matches, or lacks one that it refers to. Works once it is installed.
	ReasonKindNotFound = "KindNotFound"
	// ReasonForbidden: Mainstay lacks a verb on a kind that the rule reads.
	ReasonForbidden = "Forbidden"
	// ReasonSyncing: the first list of a kind is under way, or the API server
	// has not said yet that it has seen a policy.
	ReasonSyncing = "Syncing"
	// ReasonNeedsWebhook: mode Admission is asked for, the rule uses what the API
	// server cannot evaluate, and Mainstay runs without its webhook.
	ReasonNeedsWebhook = "NeedsWebhook"
	// ReasonNoWebhook: the ValidatingWebhookConfiguration that the rule would be
	// enforced through is not there.
	ReasonNoWebhook = "NoWebhook"
	// ReasonConflict: another field manager owns a part of a policy and keeps
	// it.
	ReasonConflict = "Conflict"
	// ReasonRejected: the API server refuses a policy.
	ReasonRejected = "Rejected"
	// ReasonUnlocked: somebody has opened all gates with mainstay unlock.
	ReasonUnlocked = "Unlocked"
)

// Reasons of a Lifeline's conditions.
const (
	// ReasonSurvives: no single domain's loss stops a member.
	ReasonSurvives = "Survives"
	// ReasonDomainLossStops: one domain's loss stops at least one member.
	ReasonDomainLossStops = "DomainLossStops"
	// ReasonNoMembers: the selector matches no workload.
	ReasonNoMembers = "NoMembers"
	// ReasonMemberScaledToZero: a member is scaled to zero on purpose or not.
	ReasonMemberScaledToZero = "MemberScaledToZero"
	// ReasonMemberNotReady: a member has no ready replica at all. It is stopped
	// already, whatever domain is lost next.
	ReasonMemberNotReady = "MemberNotReady"
	// ReasonRevisionLag: a consumer has not attempted its source's revision.
	ReasonRevisionLag = "RevisionLag"
	// ReasonFollowing: every consumer follows its source.
	ReasonFollowing = "Following"
	// ReasonIdle: there is nothing to heal.
	ReasonIdle = "Idle"
	// ReasonRebalancing: a standby was evicted, its replacement is awaited.
	ReasonRebalancing = "Rebalancing"
	// ReasonFutile: the last move did not improve the picture, and nothing
	// that could change the result has changed since.
	ReasonFutile = "Futile"
	// ReasonNoRoom: no other domain can take a standby.
	ReasonNoRoom = "NoRoom"
	// ReasonBudgetSpent: spec.heal.maxEvictionsPerHour is used up.
	ReasonBudgetSpent = "BudgetSpent"
	// ReasonBlocked: a move that would help must wait, for a budget, a rollout, an
	// election, or because one failed.
	ReasonBlocked = "Blocked"
	// ReasonDryRun: spec.heal.mode is DryRun.
	ReasonDryRun = "DryRun"
	// ReasonHealingOff: spec.heal.mode is Off.
	ReasonHealingOff = "Off"
)

// Label and annotation keys on the admission policies of a rule, and their
// bindings.
const (
	// LabelManagedBy has the value ManagedBy.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelRuleKind, LabelRuleNamespace and LabelRuleName name the rule. A name
	// that is too long for a label value is left out: AnnotationRule is the truth.
	LabelRuleKind      = "mainstay.dev/rule-kind"
	LabelRuleNamespace = "mainstay.dev/rule-namespace"
	LabelRuleName      = "mainstay.dev/rule-name"
	// AnnotationRule is ClusterRule/name or Rule/namespace/name.
	AnnotationRule = "mainstay.dev/rule"
)

// ManagedBy is the value of LabelManagedBy on what Mainstay makes.
const ManagedBy = "mainstay"

// LabelBypass on a Namespace, with the value "true", keeps its objects from
// being judged at admission. It is in the policies' own selectors: it works
// with no pod of Mainstay alive.
const LabelBypass = "mainstay.dev/bypass" //nolint:gosec // no credential: bypass is a word

// Label keys on Interventions.
const (
	// LabelOwnerKind, LabelOwnerNamespace and LabelOwnerName name the object
	// on whose behalf an Intervention was made. A name that is too long for a
	// label value is left out: spec.owner is the truth.
	LabelOwnerKind      = "mainstay.dev/owner-kind"
	LabelOwnerNamespace = "mainstay.dev/owner-namespace"
	LabelOwnerName      = "mainstay.dev/owner-name"
)
