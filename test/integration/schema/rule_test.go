package schema_test

// The messages of the rules that bound what a user writes in lists whose entries
// are Kubernetes' own types.
const (
	conditionBounds  = "an expression may have 8192 characters, a name 317"
	variableBounds   = "an expression may have 8192 characters, a name 63"
	validationBounds = "an expression may have 8192 characters, a message 1024"
	denyOrWarn       = "Deny and Warn exclude each other"
)

// expiresPattern is what metav1.Time can read of the format date-time.
const expiresPattern = `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.]\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`

// ruleMarkers are those of ClusterRule and Rule alike.
func ruleMarkers() map[string]marker {
	exception := func(fields string) string { return `spec: {exceptions: [{` + fields + `}]}` }
	expires := func(at string) string { return exception(`name: a, reason: known, expires: "` + at + `"`) }
	unreadable := func(at string) string {
		return `spec.exceptions[0].expires: Invalid value: "` + at + `": spec.exceptions[0].expires in body should match '` + expiresPattern + `'`
	}
	resources := `{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}`
	return union(map[string]marker{
		"spec is required": {
			reject:     `spec: null`,
			wantReject: "spec: Required value",
		},
		"severity is one of five": {
			accept:     `spec: {severity: critical}`,
			reject:     `spec: {severity: fatal}`,
			wantReject: `spec.severity: Unsupported value: "fatal": supported values: "info", "low", "medium", "high", "critical"`,
		},
		"a mode is one of two": {
			accept:     `spec: {modes: [Admission, Audit]}`,
			reject:     `spec: {modes: [Enforce]}`,
			wantReject: `spec.modes[0]: Unsupported value: "Enforce": supported values: "Admission", "Audit"`,
		},
		"modes are at least one": {
			accept:     `spec: {modes: [Admission]}`,
			reject:     `spec: {modes: []}`,
			wantReject: "spec.modes: Invalid value: 0: spec.modes in body should have at least 1 items",
		},
		"modes are at most two": {
			accept:     `spec: {modes: [Audit, Admission]}`,
			reject:     `spec: {modes: [Audit, Admission, Audit]}`,
			wantReject: "spec.modes: Too many: 3: must have at most 2 items\nspec.modes[2]: Duplicate value: \"Audit\"",
		},
		"modes are different": {
			accept:     `spec: {modes: [Audit]}`,
			reject:     `spec: {modes: [Audit, Audit]}`,
			wantReject: `spec.modes[1]: Duplicate value: "Audit"`,
		},
		"an action is one of three": {
			accept:     `spec: {validationActions: [Warn, Audit]}`,
			reject:     `spec: {validationActions: [Block]}`,
			wantReject: `spec.validationActions[0]: Unsupported value: "Block": supported values: "Deny", "Warn", "Audit"`,
		},
		"actions are at least one": {
			accept:     `spec: {validationActions: [Audit]}`,
			reject:     `spec: {validationActions: []}`,
			wantReject: "spec.validationActions: Invalid value: 0: spec.validationActions in body should have at least 1 items",
		},
		"actions are at most two": {
			accept:     `spec: {validationActions: [Deny, Audit]}`,
			reject:     `spec: {validationActions: [Deny, Audit, Audit]}`,
			wantReject: "spec.validationActions: Too many: 3: must have at most 2 items\nspec.validationActions[2]: Duplicate value: \"Audit\"",
		},
		"actions are different": {
			accept:     `spec: {validationActions: [Deny]}`,
			reject:     `spec: {validationActions: [Deny, Deny]}`,
			wantReject: `spec.validationActions[1]: Duplicate value: "Deny"`,
		},
		"actions do not deny and warn": {
			accept:     `spec: {validationActions: [Warn]}`,
			reject:     `spec: {validationActions: [Deny, Warn]}`,
			wantReject: "spec.validationActions: Invalid value: " + denyOrWarn,
		},
		"the failure policy is one of two": {
			accept:     `spec: {failurePolicy: Ignore}`,
			reject:     `spec: {failurePolicy: Open}`,
			wantReject: `spec.failurePolicy: Unsupported value: "Open": supported values: "Fail", "Ignore"`,
		},
		"matchConstraints are required": {
			reject:     `spec: {matchConstraints: null}`,
			wantReject: "spec.matchConstraints: Required value",
		},
		"resourceRules are required": {
			reject:     `spec: {matchConstraints: {resourceRules: null}}`,
			wantReject: "spec.matchConstraints.resourceRules: Required value",
		},
		"resourceRules are at least one": {
			accept:     `spec: {matchConstraints: {resourceRules: [` + resources + `]}}`,
			reject:     `spec: {matchConstraints: {resourceRules: []}}`,
			wantReject: "spec.matchConstraints.resourceRules: Invalid value: 0: spec.matchConstraints.resourceRules in body should have at least 1 items",
		},
		"resourceRules are at most 64": {
			accept:     `spec: {matchConstraints: {resourceRules: ` + times(64, resources) + `}}`,
			reject:     `spec: {matchConstraints: {resourceRules: ` + times(65, resources) + `}}`,
			wantReject: "spec.matchConstraints.resourceRules: Too many: 65: must have at most 64 items",
		},
		"excludeResourceRules are at most 64": {
			accept:     `spec: {matchConstraints: {excludeResourceRules: ` + times(64, resources) + `}}`,
			reject:     `spec: {matchConstraints: {excludeResourceRules: ` + times(65, resources) + `}}`,
			wantReject: "spec.matchConstraints.excludeResourceRules: Too many: 65: must have at most 64 items",
		},
		"matchConditions are at most 64": {
			accept:     `spec: {matchConditions: ` + times(64, `{name: c%d, expression: "true"}`) + `}`,
			reject:     `spec: {matchConditions: ` + times(65, `{name: c%d, expression: "true"}`) + `}`,
			wantReject: "spec.matchConditions: Too many: 65: must have at most 64 items",
		},
		"matchConditions have different names": {
			accept:     `spec: {matchConditions: [{name: a, expression: "true"}, {name: b, expression: "true"}]}`,
			reject:     `spec: {matchConditions: [{name: a, expression: "true"}, {name: a, expression: "false"}]}`,
			wantReject: `spec.matchConditions[1]: Duplicate value: {"name":"a"}`,
		},
		"a match condition has a name": {
			accept:     `spec: {matchConditions: [{name: a, expression: "true"}]}`,
			reject:     `spec: {matchConditions: [{expression: "true"}]}`,
			wantReject: "spec.matchConditions[0].name: Required value",
		},
		"a match condition has an expression": {
			accept:     `spec: {matchConditions: [{name: a, expression: "true"}]}`,
			reject:     `spec: {matchConditions: [{name: a}]}`,
			wantReject: "spec.matchConditions[0].expression: Required value",
		},
		"a match condition's expression is at most 8192 long": {
			accept:     `spec: {matchConditions: [{name: a, expression: ` + long(8192) + `}]}`,
			reject:     `spec: {matchConditions: [{name: a, expression: ` + long(8193) + `}]}`,
			wantReject: "spec.matchConditions: Invalid value: " + conditionBounds,
		},
		"a match condition's name is at most 317 long": {
			accept:     `spec: {matchConditions: [{name: ` + long(317) + `, expression: "true"}]}`,
			reject:     `spec: {matchConditions: [{name: ` + long(318) + `, expression: "true"}]}`,
			wantReject: "spec.matchConditions: Invalid value: " + conditionBounds,
		},
		"every match condition is bounded": {
			accept:     `spec: {matchConditions: [{name: a, expression: "true"}, {name: b, expression: "true"}]}`,
			reject:     `spec: {matchConditions: [{name: a, expression: "true"}, {name: b, expression: ` + long(8193) + `}]}`,
			wantReject: "spec.matchConditions: Invalid value: " + conditionBounds,
		},
		"variables are at most 64": {
			accept:     `spec: {variables: ` + times(64, `{name: v%d, expression: "1"}`) + `}`,
			reject:     `spec: {variables: ` + times(65, `{name: v%d, expression: "1"}`) + `}`,
			wantReject: "spec.variables: Too many: 65: must have at most 64 items",
		},
		"variables have different names": {
			accept:     `spec: {variables: [{name: a, expression: "1"}, {name: b, expression: "1"}]}`,
			reject:     `spec: {variables: [{name: a, expression: "1"}, {name: a, expression: "2"}]}`,
			wantReject: `spec.variables[1]: Duplicate value: {"name":"a"}`,
		},
		"a variable has a name": {
			accept:     `spec: {variables: [{name: a, expression: "1"}]}`,
			reject:     `spec: {variables: [{expression: "1"}]}`,
			wantReject: "spec.variables[0].name: Required value",
		},
		"a variable has an expression": {
			accept:     `spec: {variables: [{name: a, expression: "1"}]}`,
			reject:     `spec: {variables: [{name: a}]}`,
			wantReject: "spec.variables[0].expression: Required value",
		},
		"a variable's expression is at most 8192 long": {
			accept:     `spec: {variables: [{name: a, expression: ` + long(8192) + `}]}`,
			reject:     `spec: {variables: [{name: a, expression: ` + long(8193) + `}]}`,
			wantReject: "spec.variables: Invalid value: " + variableBounds,
		},
		"a variable's name is at most 63 long": {
			accept:     `spec: {variables: [{name: ` + long(63) + `, expression: "1"}]}`,
			reject:     `spec: {variables: [{name: ` + long(64) + `, expression: "1"}]}`,
			wantReject: "spec.variables: Invalid value: " + variableBounds,
		},
		"every variable is bounded": {
			accept:     `spec: {variables: [{name: a, expression: "1"}, {name: b, expression: "1"}]}`,
			reject:     `spec: {variables: [{name: a, expression: "1"}, {name: b, expression: ` + long(8193) + `}]}`,
			wantReject: "spec.variables: Invalid value: " + variableBounds,
		},
		"validations are required": {
			reject:     `spec: {validations: null}`,
			wantReject: "spec.validations: Required value",
		},
		"validations are at least one": {
			accept:     `spec: {validations: [{expression: "true"}]}`,
			reject:     `spec: {validations: []}`,
			wantReject: "spec.validations: Invalid value: 0: spec.validations in body should have at least 1 items",
		},
		"validations are at most 64": {
			accept:     `spec: {validations: ` + times(64, `{expression: "true"}`) + `}`,
			reject:     `spec: {validations: ` + times(65, `{expression: "true"}`) + `}`,
			wantReject: "spec.validations: Too many: 65: must have at most 64 items",
		},
		"a validation has an expression": {
			accept:     `spec: {validations: [{expression: "true", message: broken}]}`,
			reject:     `spec: {validations: [{message: broken}]}`,
			wantReject: "spec.validations[0].expression: Required value",
		},
		"a validation's expression is at most 8192 long": {
			accept:     `spec: {validations: [{expression: ` + long(8192) + `}]}`,
			reject:     `spec: {validations: [{expression: ` + long(8193) + `}]}`,
			wantReject: "spec.validations: Invalid value: " + validationBounds,
		},
		"a validation's messageExpression is at most 8192 long": {
			accept:     `spec: {validations: [{expression: "true", messageExpression: ` + long(8192) + `}]}`,
			reject:     `spec: {validations: [{expression: "true", messageExpression: ` + long(8193) + `}]}`,
			wantReject: "spec.validations: Invalid value: " + validationBounds,
		},
		"a validation's message is at most 1024 long": {
			accept:     `spec: {validations: [{expression: "true", message: ` + long(1024) + `}]}`,
			reject:     `spec: {validations: [{expression: "true", message: ` + long(1025) + `}]}`,
			wantReject: "spec.validations: Invalid value: " + validationBounds,
		},
		"every validation is bounded": {
			accept:     `spec: {validations: [{expression: "true"}, {expression: "true", message: broken}]}`,
			reject:     `spec: {validations: [{expression: "true"}, {expression: ` + long(8193) + `}]}`,
			wantReject: "spec.validations: Invalid value: " + validationBounds,
		},
		"references are at most 16": {
			accept:     `spec: {references: ` + times(16, `{name: r%d, apiVersion: v1, kind: Pod}`) + `}`,
			reject:     `spec: {references: ` + times(17, `{name: r%d, apiVersion: v1, kind: Pod}`) + `}`,
			wantReject: "spec.references: Too many: 17: must have at most 16 items",
		},
		"references have different names": {
			accept:     `spec: {references: [{name: a, apiVersion: v1, kind: Pod}, {name: b, apiVersion: v1, kind: Pod}]}`,
			reject:     `spec: {references: [{name: a, apiVersion: v1, kind: Pod}, {name: a, apiVersion: v1, kind: Service}]}`,
			wantReject: `spec.references[1]: Duplicate value: {"name":"a"}`,
		},
		"a reference has a name": {
			accept:     `spec: {references: [{name: pods, apiVersion: v1, kind: Pod}]}`,
			reject:     `spec: {references: [{apiVersion: v1, kind: Pod}]}`,
			wantReject: "spec.references[0].name: Required value",
		},
		"a reference has an apiVersion": {
			accept:     reference(`apiVersion: v1`),
			reject:     `spec: {references: [{name: pods, kind: Pod}]}`,
			wantReject: "spec.references[0].apiVersion: Required value",
		},
		"a reference has a kind": {
			accept:     reference(`kind: Pod`),
			reject:     `spec: {references: [{name: pods, apiVersion: v1}]}`,
			wantReject: "spec.references[0].kind: Required value",
		},
		"a reference's name is an identifier": {
			accept:     reference(`name: _Pods_2`),
			reject:     reference(`name: my-pods`),
			wantReject: `spec.references[0].name: Invalid value: "my-pods": spec.references[0].name in body should match '^[a-zA-Z_][a-zA-Z0-9_]*$'`,
		},
		"a reference's name is not empty": {
			accept:     reference(`name: p`),
			reject:     reference(`name: ""`),
			wantReject: `spec.references[0].name: Invalid value: "": spec.references[0].name in body should match '^[a-zA-Z_][a-zA-Z0-9_]*$'`,
		},
		"a reference's name is at most 63 long": {
			accept:     reference(`name: ` + long(63)),
			reject:     reference(`name: ` + long(64)),
			wantReject: "spec.references[0].name: Too long: may not be more than 63 bytes",
		},
		"a reference's apiVersion is not empty": {
			accept:     reference(`apiVersion: v`),
			reject:     reference(`apiVersion: ""`),
			wantReject: `spec.references[0].apiVersion: Invalid value: "": spec.references[0].apiVersion in body should be at least 1 chars long`,
		},
		"a reference's apiVersion is at most 317 long": {
			accept:     reference(`apiVersion: ` + long(317)),
			reject:     reference(`apiVersion: ` + long(318)),
			wantReject: "spec.references[0].apiVersion: Too long: may not be more than 317 bytes",
		},
		"a reference's kind is not empty": {
			accept:     reference(`kind: K`),
			reject:     reference(`kind: ""`),
			wantReject: `spec.references[0].kind: Invalid value: "": spec.references[0].kind in body should be at least 1 chars long`,
		},
		"a reference's kind is at most 63 long": {
			accept:     reference(`kind: ` + long(63)),
			reject:     reference(`kind: ` + long(64)),
			wantReject: "spec.references[0].kind: Too long: may not be more than 63 bytes",
		},
		"exceptions are at most 256": {
			accept:     `spec: {exceptions: ` + times(256, `{name: e%d, reason: known}`) + `}`,
			reject:     `spec: {exceptions: ` + times(257, `{name: e%d, reason: known}`) + `}`,
			wantReject: "spec.exceptions: Too many: 257: must have at most 256 items",
		},
		"an exception has a name": {
			accept:     exception(`name: a, reason: known`),
			reject:     exception(`reason: known`),
			wantReject: "spec.exceptions[0].name: Required value",
		},
		"an exception's name is not empty": {
			accept:     exception(`name: a, reason: known`),
			reject:     exception(`name: "", reason: known`),
			wantReject: `spec.exceptions[0].name: Invalid value: "": spec.exceptions[0].name in body should be at least 1 chars long`,
		},
		"an exception's name is at most 253 long": {
			accept:     exception(`name: ` + long(253) + `, reason: known`),
			reject:     exception(`name: ` + long(254) + `, reason: known`),
			wantReject: "spec.exceptions[0].name: Too long: may not be more than 253 bytes",
		},
		"an exception's namespace is at most 63 long": {
			accept:     exception(`namespace: ` + long(63) + `, name: a, reason: known`),
			reject:     exception(`namespace: ` + long(64) + `, name: a, reason: known`),
			wantReject: "spec.exceptions[0].namespace: Too long: may not be more than 63 bytes",
		},
		"an exception has a reason": {
			accept:     exception(`name: a, reason: known`),
			reject:     exception(`name: a`),
			wantReject: "spec.exceptions[0].reason: Required value",
		},
		"an exception's reason is not empty": {
			accept:     exception(`name: a, reason: r`),
			reject:     exception(`name: a, reason: ""`),
			wantReject: `spec.exceptions[0].reason: Invalid value: "": spec.exceptions[0].reason in body should be at least 1 chars long`,
		},
		"an exception's reason is at most 1024 long": {
			accept:     exception(`name: a, reason: ` + long(1024)),
			reject:     exception(`name: a, reason: ` + long(1025)),
			wantReject: "spec.exceptions[0].reason: Too long: may not be more than 1024 bytes",
		},
		"an exception expires at a time": {
			accept:     expires("2030-01-31T00:00:00Z"),
			reject:     expires("2030-02-30T00:00:00Z"),
			wantReject: `spec.exceptions[0].expires: Invalid value: "2030-02-30T00:00:00Z": spec.exceptions[0].expires in body must be of type date-time: "2030-02-30T00:00:00Z"`,
		},
		"an exception expires at a time with a T": {
			accept:     expires("2030-01-31T23:59:59Z"),
			reject:     expires("2030-01-31t23:59:59Z"),
			wantReject: unreadable("2030-01-31t23:59:59Z"),
		},
		"an exception expires at a time with a T and a Z": {
			accept:     expires("2030-01-31T00:00:00Z"),
			reject:     expires("2030-01-31t00:00:00z"),
			wantReject: unreadable("2030-01-31t00:00:00z"),
		},
		"an exception expires at a time with a Z": {
			accept:     expires("2030-01-31T23:59:59Z"),
			reject:     expires("2030-01-31T23:59:59z"),
			wantReject: unreadable("2030-01-31T23:59:59z"),
		},
		"an exception's offset is within a day": {
			accept:     expires("2030-01-31T00:00:00+23:00"),
			reject:     expires("2030-01-31T00:00:00+25:00"),
			wantReject: unreadable("2030-01-31T00:00:00+25:00"),
		},
		"an exception's offset has 60 minutes an hour": {
			accept:     expires("2030-01-31T00:00:00-19:59"),
			reject:     expires("2030-01-31T00:00:00-19:60"),
			wantReject: unreadable("2030-01-31T00:00:00-19:60"),
		},
		"an exception's fraction of a second is behind a point": {
			accept:     expires("2030-01-31T00:00:00.5Z"),
			reject:     expires("2030-01-31T00:00:00_5Z"),
			wantReject: unreadable("2030-01-31T00:00:00_5Z"),
		},
	},
		selectorMarkers("spec.matchConstraints.objectSelector", func(selector string) string {
			return `spec: {matchConstraints: {objectSelector: ` + selector + `}}`
		}),
		selectorMarkers("spec.references[0].labelSelector", func(selector string) string {
			return reference(`labelSelector: ` + selector)
		}),
	)
}

// anyNamespaceMarkers are those of a ClusterRule only.
func anyNamespaceMarkers() map[string]marker {
	return selectorMarkers("spec.matchConstraints.namespaceSelector", func(selector string) string {
		return `spec: {matchConstraints: {namespaceSelector: ` + selector + `}}`
	})
}

// reference is a rule's only reference, with some of its fields given.
func reference(fields string) string {
	return `spec: {references: [{name: budgets, apiVersion: policy/v1, kind: PodDisruptionBudget, ` + fields + `}]}`
}

// namespacesMarkers are those of a reference's namespaces. A Rule has one more
// complaint about all that its API server gets to see as a list of texts.
func namespacesMarkers(kind string) map[string]marker {
	namespaces := func(list string) string { return reference(`namespaces: ` + list) }
	accept, outside := namespaces, ""
	if kind == rule {
		accept = func(string) string { return namespaces(`[Same]`) }
		outside = "spec.references: Invalid value: " + ownNamespaceOnly + "\n"
	}
	const path = "spec.references[0].namespaces"
	return map[string]marker{
		"namespaces are at least one": {
			accept:     accept(`[flux-system]`),
			reject:     namespaces(`[]`),
			wantReject: outside + path + ": Invalid value: 0: " + path + " in body should have at least 1 items",
		},
		"namespaces differ": {
			accept:     accept(`[a, b]`),
			reject:     namespaces(`[a, a]`),
			wantReject: outside + path + `[1]: Duplicate value: "a"`,
		},
		"namespaces are at most 64": {
			accept:     accept(times(64, `n%d`)),
			reject:     namespaces(times(65, `n%d`)),
			wantReject: path + ": Too many: 65: must have at most 64 items",
		},
		"a namespace is at most 63 long": {
			accept:     accept(`[` + long(63) + `]`),
			reject:     namespaces(`[` + long(64) + `]`),
			wantReject: path + "[0]: Too long: may not be more than 63 bytes",
		},
		"Same stands alone": {
			accept:     accept(`[Same]`),
			reject:     namespaces(`[Same, flux-system]`),
			wantReject: outside + path + ": Invalid value: Same and All stand alone",
		},
		"All stands alone": {
			accept:     accept(`[All]`),
			reject:     namespaces(`[flux-system, All]`),
			wantReject: outside + path + ": Invalid value: Same and All stand alone",
		},
		"namespaces are names": {
			accept:     accept(`[flux-system, 1a]`),
			reject:     namespaces(`[flux-system, Flux]`),
			wantReject: outside + path + ": Invalid value: must be Same, All or names of namespaces",
		},
		"namespaces do not end in a hyphen": {
			accept:     accept(`[a-b]`),
			reject:     namespaces(`[a-]`),
			wantReject: outside + path + ": Invalid value: must be Same, All or names of namespaces",
		},
	}
}

// The messages of the rules on a namespaced Rule.
const (
	ownNamespaceOnly    = "a namespaced Rule refers to its own namespace only: references[].namespaces must be [Same]"
	noNamespaceSelector = "a namespaced Rule matches its own namespace only: matchConstraints.namespaceSelector must not be set"
)

// ownNamespaceMarkers are those of a namespaced Rule, which neither matches nor
// refers to anything outside its namespace.
func ownNamespaceMarkers() map[string]marker {
	return map[string]marker{
		"references are to the own namespace": {
			accept:     `spec: {references: [{name: pods, apiVersion: v1, kind: Pod}]}`,
			reject:     `spec: {references: [{name: pods, apiVersion: v1, kind: Pod, namespaces: [All]}]}`,
			wantReject: "spec.references: Invalid value: " + ownNamespaceOnly,
		},
		"references are not to the own namespace by name": {
			accept:     `spec: {references: [{name: pods, apiVersion: v1, kind: Pod, namespaces: [Same]}]}`,
			reject:     `spec: {references: [{name: pods, apiVersion: v1, kind: Pod, namespaces: [default]}]}`,
			wantReject: "spec.references: Invalid value: " + ownNamespaceOnly,
		},
		"namespaceSelector is not for a Rule": {
			accept:     `spec: {matchConstraints: {objectSelector: {matchLabels: {app: a}}}}`,
			reject:     `spec: {matchConstraints: {namespaceSelector: {}}}`,
			wantReject: "spec.matchConstraints.namespaceSelector: Invalid value: " + noNamespaceSelector,
		},
	}
}

// selectorMarkers are those of the label selector at a path, where set puts it.
func selectorMarkers(path string, set func(selector string) string) map[string]marker {
	good := set(`{matchExpressions: [{key: app, operator: Exists}]}`)
	return map[string]marker{
		path + " has keys": {
			accept:     good,
			reject:     set(`{matchExpressions: [{operator: Exists}]}`),
			wantReject: path + ".matchExpressions[0].key: Required value",
		},
		path + " has operators": {
			accept:     good,
			reject:     set(`{matchExpressions: [{key: app}]}`),
			wantReject: path + ".matchExpressions[0].operator: Required value",
		},
	}
}

func ruleStatusMarkers() map[string]marker {
	violation := `{apiVersion: v1, kind: Pod, name: p%d, outcome: fail, message: broken}`
	without := func(field string) string {
		return `status: {violations: [` + omit(`apiVersion: v1, kind: Pod, name: p, outcome: fail, message: broken`, field) + `]}`
	}
	table := map[string]marker{
		"the enforcement is one of three": {
			accept:     `status: {enforcement: InProcess}`,
			reject:     `status: {enforcement: Cluster}`,
			wantReject: `status.enforcement: Unsupported value: "Cluster": supported values: "InProcess", "Webhook", "AuditOnly"`,
		},
		"violations are at most 20": {
			accept:     `status: {violations: ` + times(20, violation) + `}`,
			reject:     `status: {violations: ` + times(21, violation) + `}`,
			wantReject: "status.violations: Too many: 21: must have at most 20 items",
		},
		"a violation's outcome is one of four": {
			accept:     `status: {violations: [{apiVersion: v1, kind: Pod, name: p, outcome: error, message: broken}]}`,
			reject:     `status: {violations: [{apiVersion: v1, kind: Pod, name: p, outcome: deny, message: broken}]}`,
			wantReject: `status.violations[0].outcome: Unsupported value: "deny": supported values: "pass", "fail", "error", "skip"`,
		},
	}
	for _, field := range []string{"apiVersion", "kind", "name", "outcome", "message"} {
		table["a violation has "+field] = marker{
			accept:     `status: {violations: ` + times(1, violation) + `}`,
			reject:     without(field),
			wantReject: "status.violations[0]." + field + ": Required value",
		}
	}
	for _, field := range []string{"pass", "fail", "error", "skip"} {
		table["a summary has "+field] = marker{
			accept:     `status: {summary: {pass: 0, fail: 0, error: 0, skip: 0}}`,
			reject:     `status: {summary: ` + omit(`pass: 0, fail: 0, error: 0, skip: 0`, field) + `}`,
			wantReject: "status.summary." + field + ": Required value",
		}
	}
	return table
}
