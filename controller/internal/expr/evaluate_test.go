package expr

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: source-controller
  namespace: flux-system
  labels: {app: source-controller, tier: "1"}
  annotations: {note: "two words"}
spec:
  replicas: 1
  paused: false
  selector: {matchLabels: {app: source-controller}}
  template:
    metadata: {labels: {app: source-controller}}
    spec:
      containers:
      - name: manager
        image: ghcr.io/fluxcd/source-controller:v1.9.0
        args: [--watch-all-namespaces, --storage-path=/data]
        resources: {limits: {memory: 1Gi, cpu: 1500m}}
        ports: [{containerPort: 9090}, {containerPort: 8080}]
      - name: sidecar
        image: example.com/sidecar:latest
      dnsConfig: {nameservers: [10.96.0.10, "fd00::10"]}
`

const fluxNamespace = `
apiVersion: v1
kind: Namespace
metadata: {name: flux-system, uid: "1", labels: {team: platform}, ownerReferences: [{name: x}]}
spec: {finalizers: [kubernetes]}
`

func deployments() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
}

// evaluationCase is a source, evaluated on the deployment above.
type evaluationCase struct {
	source *Source
	// want is pass, unmatched, "error: …", or for each problem its index and
	// error or message.
	want string
	// beyond is true where upstream does not have what the source uses.
	beyond bool
}

func evaluationCases() map[string]evaluationCase {
	long := strings.Repeat("x", 6000)
	return map[string]evaluationCase{
		"true":                           {source: source("object.spec.replicas == 1"), want: "pass"},
		"false":                          {source: source("object.spec.replicas > 1"), want: "0"},
		"several, one false":             {source: source("true", "false", "true"), want: "1"},
		"several false":                  {source: source("false", "true", "false"), want: "0, 2"},
		"missing field":                  {source: source("object.spec.nothing == 1"), want: "0: error: spec.validations[0].expression: no such key: nothing"},
		"missing field, guarded":         {source: source("!has(object.spec.nothing) || object.spec.nothing == 1"), want: "pass"},
		"an error is absorbed":           {source: source("object.spec.nothing == 1 || true"), want: "pass"},
		"error and failure":              {source: source("object.spec.nothing == 1", "false"), want: "0: error: spec.validations[0].expression: no such key: nothing, 1"},
		"wrong type at run time":         {source: source("object.spec.replicas.startsWith('1')"), want: "0: error: spec.validations[0].expression: no such overload"},
		"index out of bounds":            {source: source("object.spec.template.spec.containers[7].name == 'x'"), want: "0: error: spec.validations[0].expression: index out of bounds: 7"},
		"division by zero":               {source: source("1 / (object.spec.replicas - 1) == 1"), want: "0: error: spec.validations[0].expression: division by zero"},
		"not a bool at run time":         {source: source("object.metadata.name == 'x' ? true : dyn(1) == 1"), want: "pass"},
		"all":                            {source: source("object.spec.template.spec.containers.all(c, c.image.contains(':'))"), want: "pass"},
		"exists":                         {source: source("object.spec.template.spec.containers.exists(c, c.name == 'other')"), want: "0"},
		"exists one":                     {source: source("object.spec.template.spec.containers.exists_one(c, c.name == 'manager')"), want: "pass"},
		"filter and map":                 {source: source("object.spec.template.spec.containers.filter(c, has(c.args)).map(c, c.name) == ['manager']"), want: "pass"},
		"map of labels":                  {source: source("object.metadata.labels.all(k, object.metadata.labels[k] != '')"), want: "pass"},
		"two variables":                  {source: source("object.metadata.labels.all(k, v, k != v)"), want: "pass"},
		"two variables over a list":      {source: source("object.spec.template.spec.containers.exists(i, c, i == 1 && c.name == 'sidecar')"), want: "pass"},
		"transform list":                 {source: source("object.metadata.labels.transformList(k, v, k + v).size() == 2"), want: "pass"},
		"transform map":                  {source: source("object.metadata.labels.transformMap(k, v, v + '!')['app'] == 'source-controller!'"), want: "pass"},
		"in a list":                      {source: source("'--storage-path=/data' in object.spec.template.spec.containers[0].args"), want: "pass"},
		"in a map":                       {source: source("'app' in object.metadata.labels && !('x' in object.metadata.labels)"), want: "pass"},
		"keyed":                          {source: source("object['metadata']['labels']['app'] == 'source-controller'"), want: "pass"},
		"optional, absent":               {source: source("object.?spec.?nothing.orValue(3) == 3"), want: "pass"},
		"optional, present":              {source: source("object.?spec.?replicas.orValue(3) == 1"), want: "pass"},
		"optional index":                 {source: source("object.metadata.labels[?'x'].orValue('none') == 'none'"), want: "pass"},
		"optional has no value":          {source: source("!object.?spec.?nothing.?deeper.hasValue()"), want: "pass"},
		"optional map":                   {source: source("object.?spec.?replicas.optMap(n, n + 1).orValue(0) == 2"), want: "pass"},
		"optional in a list":             {source: source("[?object.?spec.?nothing, ?object.?spec.?replicas].size() == 1"), want: "pass"},
		"optional flat map":              {source: source("object.?spec.optFlatMap(s, s.?replicas).value() == 1"), want: "pass"},
		"quantity":                       {source: source("quantity(object.spec.template.spec.containers[0].resources.limits.memory).isLessThan(quantity('2Gi'))"), want: "pass"},
		"quantity arithmetic":            {source: source("quantity('1500m').compareTo(quantity(object.spec.template.spec.containers[0].resources.limits.cpu)) == 0"), want: "pass"},
		"not a quantity":                 {source: source("isQuantity(object.metadata.name)"), want: "0"},
		"IP":                             {source: source("object.spec.template.spec.dnsConfig.nameservers.all(n, isIP(n))"), want: "pass"},
		"IP family":                      {source: source("ip(object.spec.template.spec.dnsConfig.nameservers[1]).family() == 4"), want: "0"},
		"CIDR":                           {source: source("cidr('10.96.0.0/16').containsIP(object.spec.template.spec.dnsConfig.nameservers[0])"), want: "pass"},
		"format":                         {source: source("!format.dns1123Label().validate(object.metadata.name).hasValue()"), want: "pass"},
		"format, refused":                {source: source("!format.dns1123Label().validate('Not A Label').hasValue()"), want: "0"},
		"sets":                           {source: source("sets.contains(object.spec.template.spec.containers.map(c, c.name), ['manager'])"), want: "pass"},
		"sets, disjoint":                 {source: source("sets.intersects(object.spec.template.spec.containers.map(c, c.name), ['other'])"), want: "0"},
		"list library":                   {source: source("object.spec.template.spec.containers.map(c, string(c.name)).isSorted()"), want: "pass"},
		"sort":                           {source: source("object.spec.template.spec.containers[0].args.sort()[0] == '--storage-path=/data'"), want: "pass"},
		"sort by":                        {source: source("object.spec.template.spec.containers.sortBy(c, c.image)[0].name == 'sidecar'"), want: "pass"},
		"distinct":                       {source: source("object.spec.template.spec.containers.map(c, has(c.args)).distinct().size() == 2"), want: "pass"},
		"flatten":                        {source: source("object.spec.template.spec.containers.map(c, [[c.name]]).flatten(2) == ['manager', 'sidecar']"), want: "pass"},
		"slice and reverse":              {source: source("object.spec.template.spec.containers.reverse().slice(0, 1)[0].name == 'sidecar'"), want: "pass"},
		"range":                          {source: source("lists.range(size(object.spec)) != [0]"), want: "pass"},
		"sort what is no list":           {source: source("object.spec.replicas.sort() == []"), want: "0: error: spec.validations[0].expression: no such overload: sort"},
		"format of a string":             {source: source("'%s has %d'.format([object.metadata.name, object.spec.replicas]) == 'source-controller has 1'"), want: "pass"},
		"URL":                            {source: source("url('https://example.com:8443/x').getPort() == '8443'"), want: "pass"},
		"regex":                          {source: source("object.spec.template.spec.containers[0].image.matches('^ghcr[.]io/')"), want: "pass"},
		"regex find":                     {source: source("object.spec.template.spec.containers[0].image.find('v[0-9.]+$') == 'v1.9.0'"), want: "pass"},
		"regex of the object's":          {source: source("object.metadata.name.matches(object.metadata.name) && dyn(object.metadata.name).matches(dyn('^' + object.metadata.name))"), want: "pass"},
		"regex of the object's, no text": {source: source("object.metadata.name.matches(object.spec.replicas)"), want: "0: error: spec.validations[0].expression: no such overload"},
		"regex find of the object's":     {source: source("object.metadata.name.find(object.metadata.name) == object.metadata.name"), want: "pass"},
		"regex find all of the object's": {source: source("object.metadata.name.findAll(object.metadata.name + '|x').size() == 1 && 'aaa'.findAll(string(object.metadata.name).substring(0, 0) + 'a', 2).size() == 2"), want: "pass"},
		"regex that becomes too large":   {source: source("object.metadata.name.matches('(?:' + object.metadata.name + '){1000}')"), want: "0: error: spec.validations[0].expression: the regular expression is too large: with its repeats it has more than 10000 parts", beyond: true},
		"semver":                         {source: source("semver('1.9.0').isGreaterThan(semver('1.8.0'))"), want: "pass"},
		"strings":                        {source: source("object.spec.template.spec.containers[0].image.split(':')[1] == 'v1.9.0'"), want: "pass"},
		"durations":                      {source: source("duration('300s') > duration('1m')"), want: "pass"},
		"numbers of two types":           {source: source("object.spec.replicas == 1.0 && object.spec.replicas < 1.5"), want: "pass"},
		"no old object":                  {source: source("oldObject == null"), want: "pass"},
		"request":                        {source: source("request.operation == 'CREATE' && request.kind.kind == 'Deployment' && request.resource.resource == 'deployments' && request.resource.group == 'apps' && request.requestKind.version == 'v1' && request.name == 'source-controller' && request.namespace == 'flux-system'"), want: "pass"},
		"request has no subresource":     {source: source("has(request.subResource) && request.subResource != ''"), want: "0"},
		"namespace":                      {source: source("namespaceObject.metadata.labels['team'] == 'platform' && namespaceObject.spec.finalizers == ['kubernetes']"), want: "pass"},
		"namespace without owners":       {source: source("has(dyn(namespaceObject).metadata.ownerReferences)"), want: "0"},
		"variable":                       {source: source("variables.n == 1").with("n", "object.spec.replicas"), want: "pass"},
		"variables in a row":             {source: source("variables.c == 3").with("a", "1").with("b", "variables.a + 1").with("c", "variables.a + variables.b"), want: "pass"},
		"unused variable with an error":  {source: source("true || variables.bad").with("bad", "object.spec.nothing == 1"), want: "pass"},
		"variable with an error":         {source: source("variables.bad == 1").with("bad", "object.spec.nothing"), want: `0: error: spec.validations[0].expression: composited variable "bad" fails to evaluate: no such key: nothing`},
		"two uses of one bad variable":   {source: source("variables.bad == 1", "variables.bad == 2").with("bad", "object.spec.nothing"), want: `0: error: spec.validations[0].expression: composited variable "bad" fails to evaluate: no such key: nothing, 1: error: spec.validations[1].expression: composited variable "bad" fails to evaluate: no such key: nothing`},
		"has a variable":                 {source: source("has(variables.a)").with("a", "1"), want: "pass"},
		"matched":                        {source: source("false").when("a", "true").when("b", "object.spec.replicas == 1"), want: "0"},
		"not matched":                    {source: source("false").when("a", "true").when("b", "object.spec.replicas == 2"), want: "unmatched"},
		"condition with an error":        {source: source("false").when("a", "object.spec.nothing == 1"), want: `error: spec.matchConditions[0] "a": no such key: nothing`},
		"error outweighed by false":      {source: source("false").when("a", "object.spec.nothing == 1").when("b", "false"), want: "unmatched"},
		"two conditions with errors":     {source: source("false").when("a", "object.spec.x == 1").when("b", "object.spec.y == 1"), want: `error: spec.matchConditions[0] "a": no such key: x; spec.matchConditions[1] "b": no such key: y`},
		"message":                        {source: source("false").saying("'replicas: ' + string(object.spec.replicas)"), want: "0 replicas: 1"},
		"message with spaces":            {source: source("false").saying("'  x  '"), want: "0 x"},
		"message of variables":           {source: source("false").with("n", "object.metadata.name").saying("'no: ' + variables.n"), want: "0 no: source-controller"},
		"message with an error":          {source: source("false").saying("string(object.spec.nothing)"), want: "0"},
		"message of two lines":           {source: source("false").saying("'a\\nb'"), want: "0"},
		"message that ends a line":       {source: source("false").saying("'a\\n'"), want: "0 a"},
		"message that is empty":          {source: source("false").saying("'  '"), want: "0"},
		"message of 5 KiB":               {source: source("false").saying("'" + long[:5*1024] + "'"), want: "0 " + long[:5*1024]},
		"message beyond 5 KiB":           {source: source("false").saying("'" + long[:5*1024+1] + "'"), want: "0"},
		"message of a validation passed": {source: source("true", "false").saying("'x'"), want: "1 x"},
		"selector":                       {source: source("selectorMatches(object.spec.selector, object.spec.template.metadata.labels)"), want: "pass", beyond: true},
		"reference":                      {source: source("refs.pdbs.exists(p, selectorMatches(p.spec.selector, object.spec.template.metadata.labels))").referring("pdbs"), want: "pass", beyond: true},
		"reference, empty":               {source: source("refs.none.exists(p, true)").referring("none"), want: "0", beyond: true},
		"reference, counted":             {source: source("size(refs.pdbs) == 2 && refs.pdbs[1].metadata.name == 'b'").referring("pdbs"), want: "pass", beyond: true},
		"reference in a variable":        {source: source("variables.p.size() == 1").referring("pdbs").with("p", "refs.pdbs.filter(p, p.metadata.name == 'a')"), want: "pass", beyond: true},
		"reference in a message":         {source: source("false").referring("pdbs").saying("'have ' + refs.pdbs.map(p, p.metadata.name).join(', ')"), want: "0 have a, b", beyond: true},
		"has a reference":                {source: source("has(refs.pdbs)").referring("pdbs"), want: "pass", beyond: true},
		"reference that cannot be listed": {
			source: source("refs.broken.size() == 0").referring("broken"), beyond: true,
			want: "0: error: spec.validations[0].expression: listing refs.broken: informer has no answer",
		},
	}
}

// testRefs are what the references of the cases list.
func testRefs() Refs {
	return brokenRefs{refLists{
		"pdbs": {
			{"metadata": map[string]any{"name": "a"}, "spec": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": "x"}}}},
			{"metadata": map[string]any{"name": "b"}, "spec": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": "source-controller"}}}},
		},
	}}
}

type brokenRefs struct{ refLists }

func (b brokenRefs) List(name string) (List, error) {
	if name == "broken" {
		return List{}, errors.New("informer has no answer")
	}
	return b.refLists.List(name)
}

func (r Result) summary() string {
	switch {
	case r.Err != nil:
		return "error: " + r.Err.Error()
	case !r.Matches:
		return "unmatched"
	case len(r.Problems) == 0:
		return "pass"
	}
	var problems []string
	for _, p := range r.Problems {
		text := fmt.Sprint(p.Index)
		if p.Err != nil {
			text += ": error: " + p.Err.Error()
		}
		if p.Message != "" {
			text += " " + p.Message
		}
		problems = append(problems, text)
	}
	return strings.Join(problems, ", ")
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	for name, tc := range evaluationCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := Input{
				Object:    object(t, deployment),
				Resource:  deployments(),
				Namespace: object(t, fluxNamespace),
				Refs:      testRefs(),
			}
			got := mustCompile(t, c, tc.source).Evaluate(t.Context(), in).summary()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("result: -want +got\n%s", diff)
			}
			if diff := cmp.Diff(object(t, deployment), in.Object); diff != "" {
				t.Errorf("the object was changed: -want +got\n%s", diff)
			}
		})
	}
}

func TestEvaluateNamespace(t *testing.T) {
	t.Parallel()
	program := mustCompile(t, newCompiler(t), source("request.namespace == 'flux-system' && namespaceObject == null"))
	in := Input{Object: object(t, fluxNamespace), Resource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}}
	if got := program.Evaluate(t.Context(), in).summary(); got != "pass" {
		t.Errorf("a request about a Namespace: %s", got)
	}
	if !program.UsesNamespace() {
		t.Error("UsesNamespace() = false")
	}
}

func TestEvaluateWithoutObjectOrRefs(t *testing.T) {
	t.Parallel()
	program := mustCompile(t, newCompiler(t), source("object == null", "refs.r.size() == 0").referring("r", "unused"))
	if diff := cmp.Diff("1: error: spec.validations[1].expression: refs.r is not available", program.Evaluate(t.Context(), Input{}).summary()); diff != "" {
		t.Errorf("result: -want +got\n%s", diff)
	}
}

func TestEvaluateInterrupted(t *testing.T) {
	t.Parallel()
	numbers := "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
	loop := numbers + ".all(a, " + numbers + ".all(b, " + numbers + ".all(c, " + numbers + ".all(d, a + b + c + d >= 0))))"
	c := newCompiler(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]*Source{
		"validation": source(loop),
		"condition":  source("true").when("a", loop),
		"message":    source("true").saying(loop + " ? 'a' : 'b'"),
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := mustCompile(t, c, s)
			if got := program.Evaluate(t.Context(), Input{}).summary(); got != "pass" {
				t.Fatalf("with a live context: %s", got)
			}
			if err := program.Evaluate(ctx, Input{}).Err; !errors.Is(err, context.Canceled) {
				t.Errorf("with a dead context: %v", err)
			}
		})
	}
}
