package lifeline

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
)

func TestPlanRemembers(t *testing.T) {
	t.Parallel()
	type past = []*v1alpha1.Intervention
	tests := map[string]struct {
		mode        v1alpha1.HealMode
		budget      int32
		past        func(w *world, m *Move) past
		wantMove    bool
		wantAttempt int32
		wantReason  string
		wantMessage string
		wantRetry   time.Duration
	}{
		"nothing": {
			past:     func(*world, *Move) past { return nil },
			wantMove: true, wantAttempt: 1, wantReason: v1alpha1.ReasonRebalancing,
		},
		"a claim without a status is awaited": {
			past:       func(w *world, m *Move) past { return past{w.intervention("i", 0, m, "", "")} },
			wantReason: v1alpha1.ReasonRebalancing, wantMessage: "is being moved away from a (Intervention i)", wantRetry: pollPending,
		},
		"a claim is awaited": {
			past:       func(w *world, m *Move) past { return past{w.intervention("i", 0, m, v1alpha1.PhaseClaimed, "")} },
			wantReason: v1alpha1.ReasonRebalancing, wantMessage: "(Intervention i)", wantRetry: pollPending,
		},
		"a move without a verdict is awaited": {
			past:       func(w *world, m *Move) past { return past{w.intervention("i", 0, m, v1alpha1.PhaseDone, "")} },
			wantReason: v1alpha1.ReasonRebalancing, wantMessage: "(Intervention i)", wantRetry: pollPending,
		},
		"another Lifeline's claim is not": {
			past: func(w *world, m *Move) past {
				iv := w.intervention("i", 0, m, v1alpha1.PhaseClaimed, "")
				iv.Spec.Owner.UID = "other"
				return past{iv}
			},
			wantMove: true, wantAttempt: 1, wantReason: v1alpha1.ReasonRebalancing,
		},
		"a rule's claim is not": {
			past: func(w *world, m *Move) past {
				iv := w.intervention("i", 0, m, v1alpha1.PhaseClaimed, "")
				iv.Spec.Owner.Kind = "Rule"
				return past{iv}
			},
			wantMove: true, wantAttempt: 1, wantReason: v1alpha1.ReasonRebalancing,
		},
		"futile on the same evidence": {
			past: func(w *world, m *Move) past {
				return past{w.intervention("i", 2*time.Hour, m, v1alpha1.PhaseDone, v1alpha1.VerdictFutile)}
			},
			wantReason: v1alpha1.ReasonFutile, wantMessage: "moving a replica of kustomize-controller changed nothing (Intervention i)",
		},
		"futile on other evidence": {
			past: func(w *world, m *Move) past {
				other := *m
				other.Evidence = "other"
				return past{w.intervention("i", time.Minute, &other, v1alpha1.PhaseDone, v1alpha1.VerdictFutile)}
			},
			wantMove: true, wantAttempt: 2, wantReason: v1alpha1.ReasonRebalancing,
		},
		"futile on the same evidence, judged in these surroundings": {
			past: func(w *world, m *Move) past {
				iv := w.intervention("i", 2*time.Hour, m, v1alpha1.PhaseDone, v1alpha1.VerdictFutile)
				iv.Status.Evidence = Assess(iv, w.Snapshot).Evidence
				return past{iv}
			},
			wantReason: v1alpha1.ReasonFutile, wantMessage: "(Intervention i)",
		},
		"futile on the same evidence, judged in others": {
			past: func(w *world, m *Move) past {
				iv := w.intervention("i", 2*time.Hour, m, v1alpha1.PhaseDone, v1alpha1.VerdictFutile)
				iv.Status.Evidence = "other"
				return past{iv}
			},
			wantMove: true, wantAttempt: 2, wantReason: v1alpha1.ReasonRebalancing,
		},
		"improved on the same evidence": {
			past: func(w *world, m *Move) past {
				return past{w.intervention("i", time.Minute, m, v1alpha1.PhaseDone, v1alpha1.VerdictImproved)}
			},
			wantMove: true, wantAttempt: 2, wantReason: v1alpha1.ReasonRebalancing,
		},
		"failed a moment ago": {
			past: func(w *world, m *Move) past {
				return past{w.intervention("i", 10*time.Second, m, v1alpha1.PhaseFailed, "")}
			},
			wantReason: v1alpha1.ReasonBlocked, wantMessage: "failed (Intervention i): because", wantRetry: 20 * time.Second,
		},
		"failed, counted from its end": {
			past: func(w *world, m *Move) past {
				iv := w.intervention("i", time.Minute, m, v1alpha1.PhaseFailed, "")
				iv.Status.CompletedAt = &metav1.Time{Time: w.Now.Add(-5 * time.Second)}
				return past{iv}
			},
			wantReason: v1alpha1.ReasonBlocked, wantMessage: "failed (Intervention i): because", wantRetry: 25 * time.Second,
		},
		"failed twice": {
			past: func(w *world, m *Move) past {
				return past{
					w.intervention("i", 5*time.Minute, m, v1alpha1.PhaseFailed, ""),
					w.intervention("j", 40*time.Second, m, v1alpha1.PhaseFailed, ""),
				}
			},
			wantReason: v1alpha1.ReasonBlocked, wantMessage: "(Intervention j)", wantRetry: 20 * time.Second,
		},
		"failed a while ago": {
			past: func(w *world, m *Move) past {
				return past{w.intervention("i", 31*time.Second, m, v1alpha1.PhaseFailed, "")}
			},
			wantMove: true, wantAttempt: 2, wantReason: v1alpha1.ReasonRebalancing,
		},
		"the budget is spent": {
			budget: 2,
			past: func(w *world, m *Move) past {
				return past{
					w.intervention("k", 10*time.Minute, m, v1alpha1.PhaseDone, v1alpha1.VerdictImproved),
					w.intervention("j", 50*time.Minute, m, v1alpha1.PhaseFailed, ""),
					w.intervention("i", 59*time.Minute, m, v1alpha1.PhaseDone, v1alpha1.VerdictImproved),
				}
			},
			wantReason: v1alpha1.ReasonBudgetSpent, wantMessage: "3 moves in the last hour use up spec.heal.maxEvictionsPerHour: the next can be made at 2026-01-02T12:10:00Z",
			wantRetry: 10 * time.Minute,
		},
		"what was refused or is over an hour old costs nothing": {
			budget: 1,
			past: func(w *world, m *Move) past {
				return past{
					w.intervention("i", time.Minute, m, v1alpha1.PhaseRefused, ""),
					w.intervention("j", time.Hour, m, v1alpha1.PhaseDone, v1alpha1.VerdictImproved),
				}
			},
			wantMove: true, wantAttempt: 2, wantReason: v1alpha1.ReasonRebalancing,
		},
		"no budget is the default one": {
			budget: -1,
			past: func(w *world, m *Move) past {
				var out past
				for range defaultBudget {
					out = append(out, w.intervention("i", time.Minute, m, v1alpha1.PhaseDone, v1alpha1.VerdictImproved))
				}
				return out
			},
			wantReason: v1alpha1.ReasonBudgetSpent, wantMessage: "12 moves in the last hour", wantRetry: 59 * time.Minute,
		},
		"a dry run": {
			mode:     v1alpha1.HealDryRun,
			past:     func(*world, *Move) past { return nil },
			wantMove: true, wantAttempt: 1, wantReason: v1alpha1.ReasonDryRun, wantMessage: "spec.heal.mode is DryRun: moving pod kustomize-controller-1",
		},
		"a dry run is recorded once": {
			mode:       v1alpha1.HealDryRun,
			past:       func(w *world, m *Move) past { return past{w.intervention("i", 0, m, v1alpha1.PhaseRefused, "")} },
			wantReason: v1alpha1.ReasonDryRun, wantMessage: "Intervention i has the move that would be made",
		},
		"the record of a dry run that was cut short is one": {
			mode: v1alpha1.HealDryRun,
			past: func(w *world, m *Move) past {
				iv := w.intervention("i", 0, m, "", "")
				iv.Labels = map[string]string{v1alpha1.LabelDryRun: "true"}
				return past{iv}
			},
			wantReason: v1alpha1.ReasonDryRun, wantMessage: "Intervention i has the move that would be made",
		},
		"the record of a dry run that was cut short is no move under way": {
			budget: 1,
			past: func(w *world, m *Move) past {
				iv := w.intervention("i", 0, m, "", "")
				iv.Labels = map[string]string{v1alpha1.LabelDryRun: "true"}
				return past{iv}
			},
			wantMove: true, wantAttempt: 2, wantReason: v1alpha1.ReasonRebalancing,
		},
		"records of dry runs are bounded too": {
			mode:   v1alpha1.HealDryRun,
			budget: 1,
			past: func(w *world, m *Move) past {
				other := *m
				other.Evidence = "other"
				return past{w.intervention("i", 20*time.Minute, &other, v1alpha1.PhaseRefused, "")}
			},
			wantReason: v1alpha1.ReasonBudgetSpent, wantMessage: "1 moves in the last hour", wantRetry: 40 * time.Minute,
		},
		"after a dry run the move is made": {
			past:     func(w *world, m *Move) past { return past{w.intervention("i", 0, m, v1alpha1.PhaseRefused, "")} },
			wantMove: true, wantAttempt: 2, wantReason: v1alpha1.ReasonRebalancing,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := stacked()
			first := w.plan().Move
			if tt.mode != "" {
				w.Lifeline.Spec.Heal.Mode = tt.mode
			}
			if tt.budget != 0 {
				w.Lifeline.Spec.Heal.MaxEvictionsPerHour = max(tt.budget, 0)
			}
			d := w.plan(tt.past(w, first)...)
			if (d.Move != nil) != tt.wantMove || d.Reason != tt.wantReason ||
				!strings.Contains(d.Message, tt.wantMessage) || d.RetryAfter != tt.wantRetry {
				t.Errorf("Plan() moves %+v: %s: %q, again in %s\nwant a move %v: %s: …%q…, again in %s",
					d.Move, d.Reason, d.Message, d.RetryAfter, tt.wantMove, tt.wantReason, tt.wantMessage, tt.wantRetry)
			}
			if d.Move != nil && d.Move.Attempt != tt.wantAttempt {
				t.Errorf("attempt is %d, want %d", d.Move.Attempt, tt.wantAttempt)
			}
			if wantDryRun := tt.mode == v1alpha1.HealDryRun; d.DryRun != wantDryRun {
				t.Errorf("DryRun is %v, want %v", d.DryRun, wantDryRun)
			}
		})
	}
}

func TestFailedWaitIsBounded(t *testing.T) {
	t.Parallel()
	w := stacked()
	m := w.plan().Move
	var past []*v1alpha1.Intervention
	for i := range 10 {
		past = append(past, w.intervention(string(rune('a'+i)), 0, m, v1alpha1.PhaseFailed, ""))
	}
	if d := w.plan(past...); d.RetryAfter != failedWaitMax {
		t.Errorf("again in %s, want %s", d.RetryAfter, failedWaitMax)
	}
}

// A dry run records the move of each member, as Auto would make them one after the other.
func TestDryRunRecordsEachMember(t *testing.T) {
	t.Parallel()
	w := stacked()
	w.Lifeline.Spec.Heal.Mode = v1alpha1.HealDryRun
	w.deployment("alpha", 2, "a", "a").Spec.Template.Spec.NodeName = "a"
	w.deployment("web", 2, "a", "a")
	w.deployment("worker", 2, "a", "a")
	var past []*v1alpha1.Intervention
	var got []string
	d := w.plan()
	for d.Move != nil {
		got = append(got, d.Move.Workload)
		past = append(past, w.intervention("i-"+d.Move.Name, 0, d.Move, v1alpha1.PhaseRefused, ""))
		d = w.plan(past...)
	}
	want := []string{"Deployment/kustomize-controller", "Deployment/web", "Deployment/worker"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	if d.Reason != v1alpha1.ReasonDryRun || !strings.Contains(d.Message, "Intervention i-kustomize-controller-1 has the move") {
		t.Errorf("Plan() says %s: %s", d.Reason, d.Message)
	}
}

// A node that falls while a pod is moved to it makes the move futile, and its return
// makes it worth another try: all is then as it was when the first was decided.
func TestReturnOfANodeEndsFutility(t *testing.T) {
	t.Parallel()
	w := stacked("c")
	w.getNode("c").Spec.Unschedulable = true
	iv := w.intervention("i", time.Minute, w.plan().Move, v1alpha1.PhaseDone, "")
	setNodeReady(w.getNode("b"), corev1.ConditionUnknown)
	w.deletePod("kustomize-controller-1")
	w.pod("new", "kustomize-controller-rs", "kustomize-controller", "a", w.Now)
	got := Assess(iv, w.Snapshot)
	iv.Status.Verdict, iv.Status.Evidence = got.Verdict, got.Evidence
	if d := w.plan(iv); got.Verdict != v1alpha1.VerdictFutile || d.Reason != v1alpha1.ReasonNoRoom {
		t.Fatalf("%+v, then %s: %s; want it futile and no room", got, d.Reason, d.Message)
	}
	setNodeReady(w.getNode("b"), corev1.ConditionTrue)
	d := w.plan(iv)
	if d.Move == nil {
		t.Fatalf("no move after the node's return: %s: %s", d.Reason, d.Message)
	}
	if d.Move.Evidence != iv.Spec.Evidence {
		t.Error("the evidence is another: the case proves nothing")
	}

	// Once it failed with the node there, it is futile for good.
	again := w.intervention("j", 0, d.Move, v1alpha1.PhaseDone, "")
	w.deletePod("new")
	w.pod("newer", "kustomize-controller-rs", "kustomize-controller", "a", w.Now)
	got = Assess(again, w.Snapshot)
	again.Status.Verdict, again.Status.Evidence = got.Verdict, got.Evidence
	if d := w.plan(iv, again); d.Reason != v1alpha1.ReasonFutile {
		t.Errorf("moves %+v: %s: %s, want Futile", d.Move, d.Reason, d.Message)
	}
}
