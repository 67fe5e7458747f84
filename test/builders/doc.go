// Package builders makes the objects that tests need, as one expression each:
//
//	builders.MakeClusterRule("replicas").
//		Match("apps", "v1", "deployments").
//		Validate("object.spec.replicas > 1", "one replica is not enough").
//		Obj()
package builders
