package manager_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/builders"
	"github.com/mainstay-dev/mainstay/test/fluxgen"
)

// lifelineStatus waits until a Lifeline's status is as it should be.
func lifelineStatus(t *testing.T, l *v1alpha1.Lifeline, is func(*v1alpha1.LifelineStatus) bool) *v1alpha1.LifelineStatus {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) (bool, string) {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(l), l); err != nil {
			return false, err.Error()
		}
		if l.Status.Survives == nil || l.Status.ObservedGeneration != l.Generation {
			return false, "not judged yet"
		}
		return is(&l.Status), fmt.Sprintf("%+v", l.Status)
	})
	return &l.Status
}

func conditionIs(kind string, status metav1.ConditionStatus, reason string) func(*v1alpha1.LifelineStatus) bool {
	return func(s *v1alpha1.LifelineStatus) bool {
		c := meta.FindStatusCondition(s.Conditions, kind)
		return c != nil && c.Status == status && c.Reason == reason
	}
}

// podsOn waits until a Deployment has so many ready pods on so many workers.
func podsOn(t *testing.T, d *appsv1.Deployment, want map[string]int) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	eventually(t, 20*time.Second, func(ctx context.Context) (bool, string) {
		if err := shared.client.List(ctx, &pods, client.InNamespace(d.Namespace), client.MatchingLabels(d.Spec.Selector.MatchLabels)); err != nil {
			return false, err.Error()
		}
		have := map[string]int{}
		for i := range pods.Items {
			for _, c := range pods.Items[i].Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pods.Items[i].DeletionTimestamp == nil {
					have[pods.Items[i].Spec.NodeName]++
				}
			}
		}
		return cmp.Equal(want, have), fmt.Sprint(have)
	})
	return pods.Items
}

// interventions lists those on behalf of a Lifeline.
func interventions(t *testing.T, l *v1alpha1.Lifeline) []v1alpha1.Intervention {
	t.Helper()
	var list v1alpha1.InterventionList
	if err := shared.client.List(t.Context(), &list, client.InNamespace(ownNamespace)); err != nil {
		t.Fatal(err)
	}
	var mine []v1alpha1.Intervention
	for i := range list.Items {
		if list.Items[i].Spec.Owner.UID == l.UID {
			mine = append(mine, list.Items[i])
		}
	}
	return mine
}

// pile puts all replicas of a Deployment on one worker. Its pods name a
// scheduler that does not exist, so the test decides where each one goes.
func pile(t *testing.T, d *appsv1.Deployment, worker string) []corev1.Pod {
	t.Helper()
	d.Spec.Template.Spec.SchedulerName = "by-hand"
	shared.create(t, d)
	var pods corev1.PodList
	eventually(t, 20*time.Second, func(ctx context.Context) (bool, string) {
		if err := shared.client.List(ctx, &pods, client.InNamespace(d.Namespace), client.MatchingLabels(d.Spec.Selector.MatchLabels)); err != nil {
			return false, err.Error()
		}
		return len(pods.Items) == int(*d.Spec.Replicas), fmt.Sprintf("%d pods", len(pods.Items))
	})
	for i := range pods.Items {
		bind(t, &pods.Items[i], worker)
	}
	return podsOn(t, d, map[string]int{worker: int(*d.Spec.Replicas)})
}

func bind(t *testing.T, pod *corev1.Pod, worker string) {
	t.Helper()
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: worker}}
	if err := shared.client.SubResource("binding").Create(t.Context(), pod, binding); err != nil {
		t.Fatalf("bind pod %s: %v", pod.Name, err)
	}
}

// bindNext binds the pod that replaces an evicted one.
func bindNext(t *testing.T, d *appsv1.Deployment, worker string) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) (bool, string) {
		var pods corev1.PodList
		if err := shared.client.List(ctx, &pods, client.InNamespace(d.Namespace), client.MatchingLabels(d.Spec.Selector.MatchLabels)); err != nil {
			return false, err.Error()
		}
		for i := range pods.Items {
			if pods.Items[i].Spec.NodeName == "" {
				bind(t, &pods.Items[i], worker)
				return true, ""
			}
		}
		return false, fmt.Sprintf("%d pods, none to be bound", len(pods.Items))
	})
}

// lead has a pod hold a Lease, as client-go's leader election does, and returns
// the Lease's name.
func lead(t *testing.T, pod *corev1.Pod, namespace, name string) string {
	t.Helper()
	now := metav1.NowMicro()
	shared.create(t, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: new(pod.Name + "_c0ffee"), LeaseDurationSeconds: new(int32(600)), AcquireTime: &now, RenewTime: &now,
		},
	})
	return name
}

func TestLifelineThatSelectsNothing(t *testing.T) {
	t.Parallel()
	l := builders.MakeLifeline(shared.namespace(t, nil), "empty").Select("app", "nothing").Obj()
	shared.create(t, l)
	status := lifelineStatus(t, l, conditionIs(v1alpha1.ConditionSurvivable, metav1.ConditionFalse, v1alpha1.ReasonNoMembers))
	if *status.Survives || !conditionIs(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)(status) {
		t.Errorf("status %+v, want it not to survive and yet to be Ready", status)
	}
}

func TestMemberScaledToZero(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t, nil)
	d := builders.MakeDeployment(ns, "web").Replicas(2).Obj()
	shared.create(t, d)
	l := builders.MakeLifeline(ns, "zero").Obj()
	shared.create(t, l)
	lifelineStatus(t, l, func(s *v1alpha1.LifelineStatus) bool { return len(s.Members) == 1 && s.Members[0].Ready == 2 })
	edit(t, shared, d, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(0)) })
	// Its pods take a while to end, and until then the message is about them, too.
	zero := conditionIs(v1alpha1.ConditionSurvivable, metav1.ConditionFalse, v1alpha1.ReasonMemberScaledToZero)
	lifelineStatus(t, l, func(s *v1alpha1.LifelineStatus) bool {
		return zero(s) && meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionSurvivable).Message == "web is scaled to zero"
	})
}

func TestStandbyIsMovedAndTheLeaderStays(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t, nil)
	d := builders.MakeDeployment(ns, "kustomize-controller").Replicas(2).Obj()
	pods := pile(t, d, "worker-1")
	lead(t, &pods[0], ns, d.Name+"-leader-election")
	l := builders.MakeLifeline(ns, "flux").Heal(v1alpha1.HealAuto, 12).Obj()
	shared.create(t, l)

	bindNext(t, d, "worker-2")
	after := podsOn(t, d, map[string]int{"worker-1": 1, "worker-2": 1})
	names := []string{after[0].Name, after[1].Name}
	if names[0] != pods[0].Name && names[1] != pods[0].Name {
		t.Errorf("the leader %s was moved: now %v", pods[0].Name, names)
	}
	status := lifelineStatus(t, l, func(s *v1alpha1.LifelineStatus) bool { return *s.Survives })
	want := []v1alpha1.Member{{
		Kind: "Deployment", Name: "kustomize-controller", Profile: v1alpha1.ProfileStandby, Desired: 2, Ready: 2,
		Nodes:  []string{"worker-1", "worker-2"},
		Leader: &v1alpha1.Leader{Pod: pods[0].Name, Node: "worker-1", Lease: "kustomize-controller-leader-election"},
	}}
	if diff := cmp.Diff(want, status.Members); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	var iv v1alpha1.Intervention
	eventually(t, 20*time.Second, func(context.Context) (bool, string) {
		ivs := interventions(t, l)
		if len(ivs) != 1 {
			return false, fmt.Sprintf("%d interventions", len(ivs))
		}
		iv = ivs[0]
		return iv.Status.Verdict == v1alpha1.VerdictImproved, fmt.Sprintf("%+v", iv.Status)
	})
	if iv.Spec.Target.UID != pods[1].UID || iv.Status.Phase != v1alpha1.PhaseDone || iv.Spec.Holder != "shared-0" {
		t.Errorf("intervention %+v %+v, want the eviction of %s, done, by shared-0", iv.Spec, iv.Status, pods[1].Name)
	}
}

func TestFutileMoveIsNotRepeated(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t, nil)
	d := builders.MakeDeployment(ns, "web").Replicas(2).Obj()
	pile(t, d, "worker-1")
	l := builders.MakeLifeline(ns, "futile").Heal(v1alpha1.HealAuto, 12).Obj()
	shared.create(t, l)

	bindNext(t, d, "worker-1") // the scheduler had its reasons
	lifelineStatus(t, l, conditionIs(v1alpha1.ConditionHealing, metav1.ConditionFalse, v1alpha1.ReasonFutile))
	before := podsOn(t, d, map[string]int{"worker-1": 2})

	// Changes that cannot alter the result bring no second attempt.
	edit(t, shared, l, func(l *v1alpha1.Lifeline) {
		l.Annotations = map[string]string{"touched": "yes"}
		l.Spec.Heal.MaxEvictionsPerHour = 13
	})
	lifelineStatus(t, l, conditionIs(v1alpha1.ConditionHealing, metav1.ConditionFalse, v1alpha1.ReasonFutile))
	ivs := interventions(t, l)
	if len(ivs) != 1 || ivs[0].Status.Verdict != v1alpha1.VerdictFutile {
		t.Errorf("want one futile intervention: %+v", ivs)
	}
	after := podsOn(t, d, map[string]int{"worker-1": 2})
	if before[0].UID != after[0].UID || before[1].UID != after[1].UID {
		t.Error("a pod was moved again")
	}
}

func TestDryRunRecordsAndMovesNothing(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t, nil)
	d := builders.MakeDeployment(ns, "web").Replicas(2).Obj()
	pods := pile(t, d, "worker-1")
	l := builders.MakeLifeline(ns, "dry").Heal(v1alpha1.HealDryRun, 12).Obj()
	shared.create(t, l)
	lifelineStatus(t, l, conditionIs(v1alpha1.ConditionHealing, metav1.ConditionFalse, v1alpha1.ReasonDryRun))
	eventually(t, 10*time.Second, func(context.Context) (bool, string) {
		ivs := interventions(t, l)
		return len(ivs) == 1 && ivs[0].Status.Phase == v1alpha1.PhaseRefused, fmt.Sprintf("%+v", ivs)
	})
	after := podsOn(t, d, map[string]int{"worker-1": 2})
	if pods[0].UID != after[0].UID || pods[1].UID != after[1].UID {
		t.Error("a dry run moved a pod")
	}
}

// TestDryRunsOfANamespaceAreBounded has a Lifeline whose namespace has as many Interventions
// as are kept: nobody needs a right for a dry run, and they are in Mainstay's namespace.
func TestDryRunsOfANamespaceAreBounded(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t, nil)
	for i := range 256 {
		shared.create(t, &v1alpha1.Intervention{
			ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: fmt.Sprintf("%s-%d", ns, i), Labels: map[string]string{v1alpha1.LabelOwnerKind: "Lifeline", v1alpha1.LabelOwnerNamespace: ns}},
			Spec: v1alpha1.InterventionSpec{
				Owner:  v1alpha1.OwnerReference{Kind: "Lifeline", Namespace: ns, Name: "former", UID: "former"},
				Action: v1alpha1.ActionEvict, Attempt: 1, Holder: "somebody-else", Reason: "to spread web",
				Target: v1alpha1.TargetReference{APIVersion: "v1", Kind: "Pod", Namespace: ns, Name: "web", UID: "web", Workload: "Deployment/web"},
			},
		})
	}
	pile(t, builders.MakeDeployment(ns, "web").Replicas(2).Obj(), "worker-1")
	l := builders.MakeLifeline(ns, "dry").Heal(v1alpha1.HealDryRun, 12).Obj()
	shared.create(t, l)
	status := lifelineStatus(t, l, conditionIs(v1alpha1.ConditionHealing, metav1.ConditionFalse, v1alpha1.ReasonDryRun))
	if ivs := interventions(t, l); len(ivs) > 0 {
		t.Errorf("recorded %d", len(ivs))
	}
	if said := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionHealing).Message; !strings.Contains(said, "is not recorded") {
		t.Errorf("it says %q", said)
	}
}

func TestBudgetThatAllowsNothingBlocks(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t, nil)
	shared.create(t, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "strict"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(2)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
	})
	d := builders.MakeDeployment(ns, "web").Replicas(2).Obj()
	pile(t, d, "worker-1")
	l := builders.MakeLifeline(ns, "blocked").Heal(v1alpha1.HealAuto, 12).Obj()
	shared.create(t, l)
	lifelineStatus(t, l, func(s *v1alpha1.LifelineStatus) bool {
		c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionHealing)
		return c != nil && c.Reason == v1alpha1.ReasonBlocked && strings.Contains(c.Message, "strict")
	})
	if ivs := interventions(t, l); len(ivs) != 0 {
		t.Errorf("interventions %+v, want none", ivs)
	}
}

func TestForeignClaimIsRespected(t *testing.T) {
	t.Parallel()
	// Another replica has claimed the move and is slow: as long as its claim
	// may still take effect, nobody acts beside it.
	ns := shared.namespace(t, nil)
	d := builders.MakeDeployment(ns, "web").Replicas(2).Obj()
	pods := pile(t, d, "worker-1")
	l := builders.MakeLifeline(ns, "claimed").Heal(v1alpha1.HealOff, 12).Obj()
	shared.create(t, l)
	for i := range pods {
		iv := &v1alpha1.Intervention{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: ownNamespace, Name: fmt.Sprintf("claimed-%d", i),
				Labels: map[string]string{v1alpha1.LabelOwnerKind: "Lifeline", v1alpha1.LabelOwnerNamespace: ns},
			},
			Spec: v1alpha1.InterventionSpec{
				Owner:  v1alpha1.OwnerReference{Kind: "Lifeline", Namespace: ns, Name: "claimed", UID: l.UID},
				Action: v1alpha1.ActionEvict, Attempt: 1, Holder: "somebody-else", Reason: "to spread web",
				Target: v1alpha1.TargetReference{APIVersion: "v1", Kind: "Pod", Namespace: ns, Name: pods[i].Name, UID: pods[i].UID, Workload: "Deployment/web"},
			},
		}
		shared.create(t, iv)
	}
	edit(t, shared, l, func(l *v1alpha1.Lifeline) { l.Spec.Heal.Mode = v1alpha1.HealAuto })
	lifelineStatus(t, l, conditionIs(v1alpha1.ConditionHealing, metav1.ConditionTrue, v1alpha1.ReasonRebalancing))
	after := podsOn(t, d, map[string]int{"worker-1": 2})
	if pods[0].UID != after[0].UID || pods[1].UID != after[1].UID {
		t.Error("a pod was moved although its move is claimed by another replica")
	}

	// The other replica did act before it died: the effect tells.
	if err := shared.client.Delete(t.Context(), &pods[1], client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func(ctx context.Context) (bool, string) {
		iv, err := get(ctx, shared, &v1alpha1.Intervention{ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: "claimed-1"}})
		if err != nil {
			return false, err.Error()
		}
		return iv.Status.Phase == v1alpha1.PhaseDone, fmt.Sprintf("%+v", iv.Status)
	})
}

func TestConsumerThatStoppedThoughItsStatusSaysReady(t *testing.T) {
	t.Parallel()
	// Nothing to be seen is not "every consumer follows".
	blind := builders.MakeLifeline(shared.namespace(t, nil), "blind").Lag(5 * time.Second).Obj()
	shared.create(t, blind)
	lifelineStatus(t, blind, conditionIs(v1alpha1.ConditionAlive, metav1.ConditionUnknown, v1alpha1.ReasonKindNotFound))

	manifests, err := fluxgen.Manifests(t.Context(), fluxgen.Options{Components: []string{"source-controller", "kustomize-controller"}})
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(manifests), "\n---\n") {
		if strings.Contains(document, "kind: CustomResourceDefinition") {
			shared.apply(t, document)
		}
	}
	flux := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "flux-system"}}
	shared.create(t, flux)
	ns := shared.namespace(t, nil)
	shared.create(t, builders.MakeDeployment(ns, "kustomize-controller").Replicas(2).Obj())
	inside := builders.MakeLifeline("flux-system", "flux").Lag(5 * time.Second).Obj()
	neighbour := builders.MakeLifeline(shared.namespace(t, nil), "flux").Lag(5 * time.Second).Obj()
	shared.create(t, inside, neighbour)

	source := object("source.toolkit.fluxcd.io/v1", "GitRepository", ns, "fleet", map[string]any{"interval": "1m", "url": "https://example.com/fleet.git"})
	consumer := object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", ns, "apps", map[string]any{
		"interval": "1m", "prune": true, "sourceRef": map[string]any{"kind": "GitRepository", "name": "fleet"},
	})
	eventually(t, 20*time.Second, func(ctx context.Context) (bool, string) {
		err := shared.client.Create(ctx, source)
		return err == nil, fmt.Sprint(err)
	})
	eventually(t, 20*time.Second, func(ctx context.Context) (bool, string) {
		err := shared.client.Create(ctx, consumer)
		return err == nil, fmt.Sprint(err)
	})
	artifact := func(revision string) map[string]any {
		return map[string]any{
			"observedGeneration": int64(1),
			"artifact": map[string]any{
				"revision": revision, "digest": "sha256:" + strings.Repeat("a", 64), "lastUpdateTime": time.Now().UTC().Format(time.RFC3339),
				"path": "gitrepository/fleet", "url": "http://source-controller/fleet.tar.gz",
			},
		}
	}
	setStatus(t, source, artifact("main@sha1:1111"))
	setStatus(t, consumer, map[string]any{
		"observedGeneration": int64(1), "lastAppliedRevision": "main@sha1:1111", "lastAttemptedRevision": "main@sha1:1111",
		"conditions": []any{map[string]any{
			"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded", "message": "Applied revision: main@sha1:1111",
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		}},
	})
	lifelineStatus(t, inside, conditionIs(v1alpha1.ConditionAlive, metav1.ConditionTrue, v1alpha1.ReasonFollowing))

	setStatus(t, source, artifact("main@sha1:2222"))
	status := lifelineStatus(t, inside, conditionIs(v1alpha1.ConditionAlive, metav1.ConditionFalse, v1alpha1.ReasonRevisionLag))
	if len(status.Lagging) != 1 || status.Lagging[0].Name != "apps" || status.Lagging[0].SourceRevision != "main@sha1:2222" ||
		status.Lagging[0].AttemptedRevision != "main@sha1:1111" {
		t.Errorf("lagging %+v", status.Lagging)
	}
	status = lifelineStatus(t, neighbour, func(*v1alpha1.LifelineStatus) bool { return true })
	if len(status.Lagging) != 0 {
		t.Errorf("a Lifeline in another namespace is told of %+v", status.Lagging)
	}

	setStatus(t, consumer, map[string]any{"lastAttemptedRevision": "main@sha1:2222"})
	lifelineStatus(t, inside, conditionIs(v1alpha1.ConditionAlive, metav1.ConditionTrue, v1alpha1.ReasonFollowing))
}

func object(apiVersion, kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"namespace": namespace, "name": name}, "spec": spec,
	}}
}

func setStatus(t *testing.T, obj *unstructured.Unstructured, status map[string]any) {
	t.Helper()
	before := obj.DeepCopy()
	merged, _, _ := unstructured.NestedMap(obj.Object, "status")
	if merged == nil {
		merged = map[string]any{}
	}
	maps.Copy(merged, status)
	obj.Object["status"] = merged
	if err := shared.client.Status().Patch(t.Context(), obj, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func TestLeaderByALeaseInKubeSystemStays(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t, nil)
	d := builders.MakeDeployment(ns, "cert-manager").Replicas(2).Obj()
	pods := pile(t, d, "worker-2")
	// The younger pod leads: without the Lease it would be the one to go.
	lease := lead(t, &pods[1], metav1.NamespaceSystem, "cert-manager-controller")
	l := builders.MakeLifeline(ns, "certificates").Heal(v1alpha1.HealAuto, 12).Obj()
	shared.create(t, l)
	bindNext(t, d, "worker-3")
	after := podsOn(t, d, map[string]int{"worker-2": 1, "worker-3": 1})
	if after[0].Name != pods[1].Name && after[1].Name != pods[1].Name {
		t.Errorf("the leader %s was moved", pods[1].Name)
	}
	status := lifelineStatus(t, l, func(s *v1alpha1.LifelineStatus) bool { return *s.Survives })
	if m := status.Members[0]; m.Profile != v1alpha1.ProfileStandby || m.Leader == nil || m.Leader.Lease != lease {
		t.Errorf("member %+v, want a Standby that leads by %s", m, lease)
	}
}

func TestLifelineThatIsMadeAnewIsHealed(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t, nil)
	d := builders.MakeDeployment(ns, "web").Replicas(2).Obj()
	pile(t, d, "worker-1")
	dry := builders.MakeLifeline(ns, "again").Heal(v1alpha1.HealDryRun, 12).Obj()
	shared.create(t, dry)
	lifelineStatus(t, dry, conditionIs(v1alpha1.ConditionHealing, metav1.ConditionFalse, v1alpha1.ReasonDryRun))
	eventually(t, 10*time.Second, func(context.Context) (bool, string) {
		return len(interventions(t, dry)) == 1, "no record of the dry run"
	})
	if err := shared.client.Delete(t.Context(), dry); err != nil {
		t.Fatal(err)
	}
	auto := builders.MakeLifeline(ns, "again").Heal(v1alpha1.HealAuto, 12).Obj()
	shared.create(t, auto)
	bindNext(t, d, "worker-2")
	lifelineStatus(t, auto, func(s *v1alpha1.LifelineStatus) bool { return *s.Survives })
}
