package render

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fluxcd/flux2/v2/pkg/manifestgen/install"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// instanceGroup is the API group of a FluxInstance.
const instanceGroup = "fluxcd.controlplane.io"

// fluxInstance are the fields of a FluxInstance that change what is installed.
type fluxInstance struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       instanceSpec   `json:"spec"`
	Status     map[string]any `json:"status,omitempty"`
}

type instanceSpec struct {
	Distribution struct {
		Version            string `json:"version"`
		Registry           string `json:"registry"`
		Variant            string `json:"variant,omitempty"`
		ImagePullSecret    string `json:"imagePullSecret,omitempty"`
		Artifact           string `json:"artifact,omitempty"`
		ArtifactPullSecret string `json:"artifactPullSecret,omitempty"`
	} `json:"distribution"`
	Components     []string        `json:"components,omitempty"`
	Cluster        clusterSpec     `json:"cluster,omitzero"`
	Storage        *storageSpec    `json:"storage,omitempty"`
	Sharding       *shardingSpec   `json:"sharding,omitempty"`
	CommonMetadata *commonMetadata `json:"commonMetadata,omitempty"`
	Kustomize      struct {
		Patches []types.Patch `json:"patches,omitempty"`
	} `json:"kustomize,omitzero"`
	Sync             *syncSpec `json:"sync,omitempty"`
	Wait             *bool     `json:"wait,omitempty"`
	MigrateResources *bool     `json:"migrateResources,omitempty"`
}

type clusterSpec struct {
	Type                                  string `json:"type,omitempty"`
	Size                                  string `json:"size,omitempty"`
	Domain                                string `json:"domain,omitempty"`
	NetworkPolicy                         *bool  `json:"networkPolicy,omitempty"`
	Multitenant                           bool   `json:"multitenant,omitempty"`
	MultitenantWorkloadIdentity           bool   `json:"multitenantWorkloadIdentity,omitempty"`
	ObjectLevelWorkloadIdentity           bool   `json:"objectLevelWorkloadIdentity,omitempty"`
	TenantDefaultServiceAccount           string `json:"tenantDefaultServiceAccount,omitempty"`
	TenantDefaultDecryptionServiceAccount string `json:"tenantDefaultDecryptionServiceAccount,omitempty"`
	TenantDefaultKubeConfigServiceAccount string `json:"tenantDefaultKubeConfigServiceAccount,omitempty"`
}

type storageSpec struct {
	Class string `json:"class"`
	Size  string `json:"size"`
}

type shardingSpec struct {
	Key     string   `json:"key,omitempty"`
	Shards  []string `json:"shards"`
	Storage string   `json:"storage,omitempty"`
}

type commonMetadata struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type syncSpec struct {
	Name       string `json:"name,omitempty"`
	Kind       string `json:"kind"`
	URL        string `json:"url"`
	Ref        string `json:"ref"`
	Path       string `json:"path"`
	PullSecret string `json:"pullSecret,omitempty"`
	Provider   string `json:"provider,omitempty"`
	Interval   string `json:"interval,omitempty"`
}

// wrongField is a value of a FluxInstance that its CRD refuses.
type wrongField struct {
	path []string
	err  error
}

// readInstance reads a FluxInstance as its CRD does.
func readInstance(object map[string]any) (*fluxInstance, *wrongField) {
	content, err := json.Marshal(object)
	if err != nil {
		return nil, &wrongField{err: fmt.Errorf("write it as JSON: %w", err)}
	}
	in := &fluxInstance{}
	if err := yaml.UnmarshalStrict(content, in); err != nil {
		reason := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error unmarshaling JSON: "), "while decoding JSON: ")
		return nil, &wrongField{path: []string{"spec"}, err: fmt.Errorf("does not parse: %s", reason)}
	}
	if wrong := in.Spec.validate(); wrong != nil {
		return nil, wrong
	}
	in.Spec.defaults()
	return in, nil
}

func (s *instanceSpec) validate() *wrongField {
	for _, required := range []struct {
		value string
		path  []string
	}{
		{s.Distribution.Version, []string{"spec", "distribution", "version"}},
		{s.Distribution.Registry, []string{"spec", "distribution", "registry"}},
	} {
		if required.value == "" {
			return &wrongField{required.path, fmt.Errorf("%s is required", strings.Join(required.path, "."))}
		}
	}
	known := allComponents()
	for i, component := range s.Components {
		if wrong := oneOf(component, known, "spec", "components", strconv.Itoa(i)); wrong != nil {
			return wrong
		}
	}
	checks := []*wrongField{
		oneOf(s.Distribution.Variant, []string{"", "upstream-alpine", "enterprise-alpine", "enterprise-distroless", "enterprise-distroless-fips"}, "spec", "distribution", "variant"),
		oneOf(s.Cluster.Type, []string{"", "kubernetes", "openshift", "aws", "azure", "gcp"}, "spec", "cluster", "type"),
		oneOf(s.Cluster.Size, []string{"", "small", "medium", "large"}, "spec", "cluster", "size"),
	}
	if s.Cluster.MultitenantWorkloadIdentity && !s.Cluster.ObjectLevelWorkloadIdentity {
		checks = append(checks, &wrongField{[]string{"spec", "cluster", "multitenantWorkloadIdentity"}, errors.New("multitenantWorkloadIdentity needs objectLevelWorkloadIdentity")})
	}
	if s.Sharding != nil {
		checks = append(checks, oneOf(s.Sharding.Storage, []string{"", "ephemeral", "persistent"}, "spec", "sharding", "storage"))
		if s.Sharding.Storage == "persistent" && s.Storage == nil {
			checks = append(checks, &wrongField{[]string{"spec", "sharding", "storage"}, errors.New("persistent shards need spec.storage")})
		}
	}
	if s.Sync != nil {
		checks = append(checks, oneOf(s.Sync.Kind, []string{"GitRepository", "OCIRepository", "Bucket"}, "spec", "sync", "kind"))
	}
	for _, wrong := range checks {
		if wrong != nil {
			return wrong
		}
	}
	return nil
}

func oneOf(value string, allowed []string, path ...string) *wrongField {
	if slices.Contains(allowed, value) {
		return nil
	}
	names := slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" })
	return &wrongField{path, fmt.Errorf("%s is %q, want one of %s", strings.Join(path, "."), value, strings.Join(names, ", "))}
}

// defaults are those of the CRD.
func (s *instanceSpec) defaults() {
	if len(s.Components) == 0 {
		s.Components = install.MakeDefaultOptions().Components
	}
	s.Cluster.Domain = cmp.Or(s.Cluster.Domain, install.MakeDefaultOptions().ClusterDomain)
	s.Cluster.TenantDefaultServiceAccount = cmp.Or(s.Cluster.TenantDefaultServiceAccount, "default")
	if s.Sharding != nil && s.Sharding.Key == "" {
		s.Sharding.Key = "sharding.fluxcd.io/key"
	}
}

// allComponents are those that flux2 knows, in its order.
func allComponents() []string {
	defaults := install.MakeDefaultOptions()
	return append(slices.Clone(defaults.Components), defaults.ComponentsExtra...)
}
