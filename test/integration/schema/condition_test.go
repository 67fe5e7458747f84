package schema_test

import "strings"

// conditionMarkers are those of metav1.Condition, in every status that has
// conditions.
func conditionMarkers() map[string]marker {
	const good = `type: Ready, status: "True", reason: Succeeded, message: fine, lastTransitionTime: "2026-01-31T00:00:00Z"`
	conditions := func(fields string) string { return `status: {conditions: [` + fields + `]}` }
	// A later field replaces an earlier one of its name.
	changed := func(field, value string) string {
		return conditions(strings.TrimSuffix(omit(good, field), "}") + `, ` + field + `: ` + value + `}`)
	}
	table := map[string]marker{
		"conditions have different types": {
			accept:     conditions(`{` + good + `}`),
			reject:     conditions(`{` + good + `}, {` + good + `}`),
			wantReject: `status.conditions[1]: Duplicate value: {"type":"Ready"}`,
		},
		"a condition's type is a qualified name": {
			accept:     changed("type", `mainstay.dev/Ready`),
			reject:     changed("type", `"not ready"`),
			wantReject: `status.conditions[0].type: Invalid value: "not ready": conditions[0].type in body should match '^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$'`,
		},
		"a condition's type is at most 316 long": {
			accept:     changed("type", long(316)),
			reject:     changed("type", long(317)),
			wantReject: "status.conditions[0].type: Too long: may not be more than 316 bytes",
		},
		"a condition's status is one of three": {
			accept:     changed("status", `Unknown`),
			reject:     changed("status", `Maybe`),
			wantReject: `status.conditions[0].status: Unsupported value: "Maybe": supported values: "True", "False", "Unknown"`,
		},
		"a condition's reason is CamelCase": {
			accept:     changed("reason", `Done`),
			reject:     changed("reason", `"all done"`),
			wantReject: `status.conditions[0].reason: Invalid value: "all done": conditions[0].reason in body should match '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$'`,
		},
		"a condition's reason is not empty": {
			accept:     changed("reason", `R`),
			reject:     changed("reason", `""`),
			wantReject: `status.conditions[0].reason: Invalid value: "": conditions[0].reason in body should be at least 1 chars long`,
		},
		"a condition's reason is at most 1024 long": {
			accept:     changed("reason", long(1024)),
			reject:     changed("reason", long(1025)),
			wantReject: "status.conditions[0].reason: Too long: may not be more than 1024 bytes",
		},
		"a condition's message is at most 32768 long": {
			accept:     changed("message", long(32768)),
			reject:     changed("message", long(32769)),
			wantReject: "status.conditions[0].message: Too long: may not be more than 32768 bytes",
		},
		"a condition's observedGeneration is not negative": {
			accept:     changed("observedGeneration", `0`),
			reject:     changed("observedGeneration", `-1`),
			wantReject: "status.conditions[0].observedGeneration: Invalid value: -1: conditions[0].observedGeneration in body should be greater than or equal to 0",
		},
		"a condition's lastTransitionTime is a time": {
			accept:     changed("lastTransitionTime", `"2026-01-31T00:00:00Z"`),
			reject:     changed("lastTransitionTime", `yesterday`),
			wantReject: `status.conditions[0].lastTransitionTime: Invalid value: "yesterday": conditions[0].lastTransitionTime in body must be of type date-time: "yesterday"`,
		},
	}
	for _, field := range []string{"type", "status", "reason", "message", "lastTransitionTime"} {
		table["a condition has "+field] = marker{
			accept:     conditions(`{` + good + `}`),
			reject:     conditions(omit(good, field)),
			wantReject: "status.conditions[0]." + field + ": Required value",
		}
	}
	return table
}

// omit is a YAML object with the fields but one. No value has a comma in it.
func omit(fields, field string) string {
	var kept []string
	for pair := range strings.SplitSeq(fields, ", ") {
		if !strings.HasPrefix(pair, field+":") {
			kept = append(kept, pair)
		}
	}
	return `{` + strings.Join(kept, ", ") + `}`
}
