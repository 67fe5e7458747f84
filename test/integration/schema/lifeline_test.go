package schema_test

// selectorOperators is the message of the rule about a Lifeline's selector.
const selectorOperators = "an operator is In or NotIn and has values, or Exists or DoesNotExist and has none"

func lifelineMarkers() map[string]marker {
	matching := func(requirements string) string {
		return `spec: {selector: {matchExpressions: [` + requirements + `]}}`
	}
	const wrong = "spec.selector.matchExpressions: Invalid value: " + selectorOperators
	return union(map[string]marker{
		"spec is required": {
			reject:     `spec: null`,
			wantReject: "spec: Required value",
		},
		"selector is required": {
			reject:     `spec: {selector: null}`,
			wantReject: "spec.selector: Required value",
		},
		"the selector's operators are known": {
			accept:     matching(`{key: app, operator: In, values: [web]}`),
			reject:     matching(`{key: app, operator: Inn, values: [web]}`),
			wantReject: wrong,
		},
		"the selector's In has values": {
			accept:     matching(`{key: app, operator: In, values: [web, shop]}`),
			reject:     matching(`{key: app, operator: In}`),
			wantReject: wrong,
		},
		"the selector's NotIn has values": {
			accept:     matching(`{key: app, operator: NotIn, values: [web]}`),
			reject:     matching(`{key: app, operator: NotIn, values: []}`),
			wantReject: wrong,
		},
		"the selector's Exists has none": {
			accept:     matching(`{key: app, operator: Exists, values: []}`),
			reject:     matching(`{key: app, operator: Exists, values: [web]}`),
			wantReject: wrong,
		},
		"the selector's DoesNotExist has none": {
			accept:     matching(`{key: app, operator: DoesNotExist}`),
			reject:     matching(`{key: app, operator: DoesNotExist, values: [web]}`),
			wantReject: wrong,
		},
		"every operator of the selector is known": {
			accept:     matching(`{key: app, operator: Exists}, {key: tier, operator: In, values: [web]}`),
			reject:     matching(`{key: app, operator: Exists}, {key: tier, operator: Is, values: [web]}`),
			wantReject: wrong,
		},
		"topologyKeys are at least one": {
			accept:     `spec: {topologyKeys: [zone]}`,
			reject:     `spec: {topologyKeys: []}`,
			wantReject: "spec.topologyKeys: Invalid value: 0: spec.topologyKeys in body should have at least 1 items",
		},
		"topologyKeys are at most four": {
			accept:     `spec: {topologyKeys: [a, b, c, d]}`,
			reject:     `spec: {topologyKeys: [a, b, c, d, e]}`,
			wantReject: "spec.topologyKeys: Too many: 5: must have at most 4 items",
		},
		"topologyKeys differ": {
			accept:     `spec: {topologyKeys: [a, b]}`,
			reject:     `spec: {topologyKeys: [a, a]}`,
			wantReject: `spec.topologyKeys[1]: Duplicate value: "a"`,
		},
		"a topology key is at most 317 long": {
			accept:     `spec: {topologyKeys: [` + long(317) + `]}`,
			reject:     `spec: {topologyKeys: [` + long(318) + `]}`,
			wantReject: "spec.topologyKeys[0]: Too long: may not be more than 317 bytes",
		},
		"a topology key is not empty": {
			accept:     `spec: {topologyKeys: [z]}`,
			reject:     `spec: {topologyKeys: [""]}`,
			wantReject: `spec.topologyKeys[0]: Invalid value: "": spec.topologyKeys[0] in body should be at least 1 chars long`,
		},
		"profiles are at most 64": {
			accept:     `spec: {profiles: ` + times(64, `{name: m%d, profile: Standby}`) + `}`,
			reject:     `spec: {profiles: ` + times(65, `{name: m%d, profile: Standby}`) + `}`,
			wantReject: "spec.profiles: Too many: 65: must have at most 64 items",
		},
		"profiles have different names": {
			accept:     `spec: {profiles: [{name: a, profile: Standby}, {name: b, profile: Standby}]}`,
			reject:     `spec: {profiles: [{name: a, profile: Standby}, {name: a, profile: Singleton}]}`,
			wantReject: `spec.profiles[1]: Duplicate value: {"name":"a"}`,
		},
		"a profile has a name": {
			accept:     `spec: {profiles: [{name: a, profile: Singleton}]}`,
			reject:     `spec: {profiles: [{profile: Singleton}]}`,
			wantReject: "spec.profiles[0].name: Required value",
		},
		"a profile's name is not empty": {
			accept:     `spec: {profiles: [{name: a, profile: Singleton}]}`,
			reject:     `spec: {profiles: [{name: "", profile: Singleton}]}`,
			wantReject: `spec.profiles[0].name: Invalid value: "": spec.profiles[0].name in body should be at least 1 chars long`,
		},
		"a profile's name is at most 253 long": {
			accept:     `spec: {profiles: [{name: ` + long(253) + `, profile: Singleton}]}`,
			reject:     `spec: {profiles: [{name: ` + long(254) + `, profile: Singleton}]}`,
			wantReject: "spec.profiles[0].name: Too long: may not be more than 253 bytes",
		},
		"a profile has a profile": {
			accept:     `spec: {profiles: [{name: a, profile: ActiveActive}]}`,
			reject:     `spec: {profiles: [{name: a}]}`,
			wantReject: "spec.profiles[0].profile: Required value",
		},
		"a profile is one of three": {
			accept:     `spec: {profiles: [{name: a, profile: ActiveActive}]}`,
			reject:     `spec: {profiles: [{name: a, profile: Stateless}]}`,
			wantReject: `spec.profiles[0].profile: Unsupported value: "Stateless": supported values: "Standby", "Singleton", "ActiveActive"`,
		},
		"a lag threshold is at least 5s": {
			accept:     `spec: {lag: {threshold: 5s}}`,
			reject:     `spec: {lag: {threshold: 4s999ms}}`,
			wantReject: `spec.lag.threshold: Invalid value: "4s999ms": must be between 5s and 24h`,
		},
		"a lag threshold is at most 24h": {
			accept:     `spec: {lag: {threshold: 24h0m0s}}`,
			reject:     `spec: {lag: {threshold: 24h0m1s}}`,
			wantReject: `spec.lag.threshold: Invalid value: "24h0m1s": must be between 5s and 24h`,
		},
		"a lag threshold is a duration": {
			accept:     `spec: {lag: {threshold: 1h30m}}`,
			reject:     `spec: {lag: {threshold: 1d}}`,
			wantReject: `spec.lag.threshold: Invalid value: "string": type conversion error from 'string' to 'google.protobuf.Duration' evaluating rule: must be between 5s and 24h`,
		},
		"a heal mode is one of three": {
			accept:     `spec: {heal: {mode: Auto}}`,
			reject:     `spec: {heal: {mode: Always}}`,
			wantReject: `spec.heal.mode: Unsupported value: "Always": supported values: "Off", "DryRun", "Auto"`,
		},
		"maxEvictionsPerHour is at least one": {
			accept:     `spec: {heal: {maxEvictionsPerHour: 1}}`,
			reject:     `spec: {heal: {maxEvictionsPerHour: 0}}`,
			wantReject: "spec.heal.maxEvictionsPerHour: Invalid value: 0: spec.heal.maxEvictionsPerHour in body should be greater than or equal to 1",
		},
		"maxEvictionsPerHour is at most 120": {
			accept:     `spec: {heal: {maxEvictionsPerHour: 120}}`,
			reject:     `spec: {heal: {maxEvictionsPerHour: 121}}`,
			wantReject: "spec.heal.maxEvictionsPerHour: Invalid value: 121: spec.heal.maxEvictionsPerHour in body should be less than or equal to 120",
		},
	}, selectorMarkers("spec.selector", func(selector string) string { return `spec: {selector: ` + selector + `}` }))
}

func lifelineStatusMarkers() map[string]marker {
	const (
		domain  = `topologyKey: zone, name: a`
		member  = `kind: Deployment, name: m%d, profile: Standby, desired: 2, ready: 2`
		leader  = `pod: p, lease: l`
		lagging = `kind: Kustomization, namespace: apps, name: k%d, source: s, sourceRevision: r, since: "2026-01-31T00:00:00Z"`
	)
	table := map[string]marker{
		"domains are at most 20": {
			accept:     `status: {domains: ` + times(20, `{`+domain+`}`) + `}`,
			reject:     `status: {domains: ` + times(21, `{`+domain+`}`) + `}`,
			wantReject: "status.domains: Too many: 21: must have at most 20 items",
		},
		"nodes of a member are at most 64": {
			accept:     `status: {members: [{` + member + `, nodes: ` + times(64, `n%d`) + `}]}`,
			reject:     `status: {members: [{` + member + `, nodes: ` + times(65, `n%d`) + `}]}`,
			wantReject: "status.members[0].nodes: Too many: 65: must have at most 64 items",
		},
		"members are at most 64": {
			accept:     `status: {members: ` + times(64, `{`+member+`}`) + `}`,
			reject:     `status: {members: ` + times(65, `{`+member+`}`) + `}`,
			wantReject: "status.members: Too many: 65: must have at most 64 items",
		},
		"lagging are at most 20": {
			accept:     `status: {lagging: ` + times(20, `{`+lagging+`}`) + `}`,
			reject:     `status: {lagging: ` + times(21, `{`+lagging+`}`) + `}`,
			wantReject: "status.lagging: Too many: 21: must have at most 20 items",
		},
		"a member's profile is one of three": {
			accept:     `status: {members: [{kind: Deployment, name: m, profile: Singleton, desired: 1, ready: 1}]}`,
			reject:     `status: {members: [{kind: Deployment, name: m, profile: Stateless, desired: 1, ready: 1}]}`,
			wantReject: `status.members[0].profile: Unsupported value: "Stateless": supported values: "Standby", "Singleton", "ActiveActive"`,
		},
		"a consumer lags since a time": {
			accept:     `status: {lagging: ` + times(1, `{`+lagging+`}`) + `}`,
			reject:     `status: {lagging: [{kind: Kustomization, namespace: apps, name: k, source: s, sourceRevision: r, since: yesterday}]}`,
			wantReject: `status.lagging[0].since: Invalid value: "yesterday": lagging[0].since in body must be of type date-time: "yesterday"`,
		},
	}
	for _, members := range []string{"stops", "interrupts"} {
		table["members that a domain "+members+" are at most 64"] = marker{
			accept:     `status: {domains: [{` + domain + `, ` + members + `: ` + times(64, `m%d`) + `}]}`,
			reject:     `status: {domains: [{` + domain + `, ` + members + `: ` + times(65, `m%d`) + `}]}`,
			wantReject: "status.domains[0]." + members + ": Too many: 65: must have at most 64 items",
		}
		table["members that the weakest domain "+members+" are at most 64"] = marker{
			accept:     `status: {weakest: {` + domain + `, ` + members + `: ` + times(64, `m%d`) + `}}`,
			reject:     `status: {weakest: {` + domain + `, ` + members + `: ` + times(65, `m%d`) + `}}`,
			wantReject: "status.weakest." + members + ": Too many: 65: must have at most 64 items",
		}
	}
	required := func(what, path, fields string, names []string, set func(object string) string) {
		for _, name := range names {
			table[what+" has "+name] = marker{
				accept:     set(`{` + fields + `}`),
				reject:     set(omit(fields, name)),
				wantReject: path + name + ": Required value",
			}
		}
	}
	required("the weakest domain", "status.weakest.", domain, []string{"topologyKey", "name"}, func(object string) string {
		return `status: {weakest: ` + object + `}`
	})
	required("a domain", "status.domains[0].", domain, []string{"topologyKey", "name"}, func(object string) string {
		return `status: {domains: [` + object + `]}`
	})
	required("a member", "status.members[0].", member, []string{"kind", "name", "profile", "desired", "ready"}, func(object string) string {
		return `status: {members: [` + object + `]}`
	})
	required("a leader", "status.members[0].leader.", leader, []string{"pod", "lease"}, func(object string) string {
		return `status: {members: [{` + member + `, leader: ` + object + `}]}`
	})
	required("a lagging consumer", "status.lagging[0].", lagging,
		[]string{"kind", "namespace", "name", "source", "sourceRevision", "since"}, func(object string) string {
			return `status: {lagging: [` + object + `]}`
		})
	return table
}
