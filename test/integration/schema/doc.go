// Package schema holds no code: its tests give the CustomResourceDefinitions of
// manifests/crd to a real API server and check, marker by marker, what the server
// then accepts, rejects, defaults and prints.
package schema
