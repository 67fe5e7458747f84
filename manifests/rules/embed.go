// Package rules is the rule pack, for those who read it without a cluster.
package rules

import "embed"

// Files are the manifests of the pack: the folder's YAML files. What belongs to
// the pack is what kustomization.yaml lists.
//
//go:embed *.yaml
var Files embed.FS
