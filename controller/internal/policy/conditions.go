package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/mainstay-dev/mainstay/controller/internal/rule"
)

// Names of the conditions by which nobody is judged who keeps a cluster going.
const (
	conditionGuarded = ownPrefix + "guarded"
	conditionEdited  = ownPrefix + "not-the-control-plane"
)

// guarded says that a request off the recovery path is to be judged. The API server's are
// not: it writes what every other request stands on, such as the addresses of the Service
// kubernetes, in namespace default, and the IPAddress of each Service. Nobody else can
// have its name. Of what is in no namespace those of who keeps workers going are not,
// either: the network and storage of every pod, Mainstay's among them, begin with such
// objects, and no namespaceSelector leaves those out.
func guarded(recovery Recovery) string {
	return fmt.Sprintf("request.userInfo.?username.orValue('') != 'system:apiserver' && (request.?namespace.orValue('') != '' || %s)",
		noneOf(recovery.Users, append([]string{"system:nodes"}, serviceAccountsOf(recovery.Infrastructure)...)))
}

// edited says that a request on the recovery path is to be judged: a person's or a script's
// direct edit. Bootstrappers are workers that join.
func edited(recovery Recovery) string {
	return noneOf(recovery.Users, append([]string{"system:bootstrappers", "system:masters", "system:nodes"}, serviceAccountsOf(recovery.Namespaces)...))
}

// conditions are that a request is to be judged, what is common to a rule's policies, and the
// rule's own. Those cost nothing where nobody is judged: that the first is false then is not
// enough, as all of them are evaluated, which takes time, and a request on which they run out
// of budget is refused. A note stands before each of the rule's: where one fails, the API
// server's refusal has the expression, and nothing else of whose it is.
func conditions(name, judged, note string, common, own []admissionregistrationv1.MatchCondition) []admissionregistrationv1.MatchCondition {
	out := append([]admissionregistrationv1.MatchCondition{{Name: name, Expression: judged}}, common...)
	for _, condition := range own {
		// The line breaks end a comment, if the expression has one.
		condition.Expression = fmt.Sprintf("%s%s && (\n%s\n)", note, judged, condition.Expression)
		out = append(out, condition)
	}
	return out
}

// noneOf says that neither the control plane, nor one of the others, nor a member of the
// groups asks.
func noneOf(others, groups []string) string {
	users := []string{"system:apiserver", "system:cloud-controller-manager", "system:kube-controller-manager", "system:kube-scheduler"}
	var begin []string
	for _, other := range slices.Sorted(slices.Values(others)) {
		if prefix, all := strings.CutSuffix(other, "*"); all {
			begin = append(begin, fmt.Sprintf("request.userInfo.?username.orValue('').startsWith(%q)", prefix))
		} else {
			users = append(users, other)
		}
	}
	return fmt.Sprintf("!(%s)", strings.Join(slices.Concat(
		[]string{fmt.Sprintf("request.userInfo.?username.orValue('') in [%s]", quoted(users))}, begin,
		[]string{fmt.Sprintf("request.userInfo.?groups.orValue([]).exists(g, g in [%s])", quoted(groups))},
	), " || "))
}

// serviceAccountsOf are the groups of the service accounts of namespaces.
func serviceAccountsOf(namespaces []string) []string {
	var groups []string
	for _, namespace := range slices.Sorted(slices.Values(namespaces)) {
		groups = append(groups, "system:serviceaccounts:"+namespace)
	}
	return groups
}

// commonConditions are those that leave out the exceptions that have not
// lapsed, in one expression: the API server takes a bounded number.
func commonConditions(r *rule.Rule, now time.Time) []admissionregistrationv1.MatchCondition {
	var names []string
	exceptions := r.Spec().Exceptions
	for i := range exceptions {
		exception := &exceptions[i]
		if exception.Expires != nil && !exception.Expires.After(now) {
			continue
		}
		namespace := exception.Namespace
		if r.Key().Kind == rule.KindRule {
			namespace = r.Key().Namespace
		}
		names = append(names, namespace+"/"+exception.Name)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	// A Namespace's request is made in it, though it is in none. A name that
	// the API server has yet to generate is absent, and no exception's. The
	// deletion of a collection names no object in the request.
	const object = "(request.resource.group == '' && request.resource.resource == 'namespaces' ? '' : request.?namespace.orValue(''))" +
		" + '/' + (request.?name.orValue('') != '' || oldObject == null ? request.?name.orValue('') : oldObject.?metadata.?name.orValue(''))"
	return []admissionregistrationv1.MatchCondition{{
		Name: ownPrefix + "no-exception", Expression: fmt.Sprintf("!(%s in [%s])", object, quoted(slices.Compact(names))),
	}}
}

func quoted(values []string) string {
	out := make([]string, len(values))
	for i, value := range values {
		out[i] = strconv.Quote(value)
	}
	return strings.Join(out, ", ")
}
