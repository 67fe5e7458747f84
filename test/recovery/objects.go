package recovery

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

//go:embed kinds.yaml
var kinds string

//go:embed namespaced.yaml
var namespaced string

// What the manifests name and do not spell out.
const (
	podSpec = `{nodeSelector: {runs: nowhere}, securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}, ` +
		`containers: [{name: main, image: "registry.example/main:v1", securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]`
	podTemplate   = `{metadata: {labels: {app: NAME}}, spec: ` + podSpec + `}}`
	neverTemplate = `{spec: ` + podSpec + `, restartPolicy: Never}}`
)

// Definitions are CustomResourceDefinitions of others that Objects needs: Flux's
// Kustomization, in a form that takes anything.
const Definitions = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: kustomizations.kustomize.toolkit.fluxcd.io
spec:
  group: kustomize.toolkit.fluxcd.io
  scope: Namespaced
  names: {kind: Kustomization, listKind: KustomizationList, plural: kustomizations, singular: kustomization}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
`

// Kinds returns an object of every kind that is on the recovery path wherever it is.
// All are called name, and those that are namespaced are in namespace. Some are only
// ever created, as reviews are.
func Kinds(name, namespace string) ([]*unstructured.Unstructured, error) {
	return objects(kinds, name, namespace)
}

// Namespaced returns an object of every other kind that is namespaced.
func Namespaced(name, namespace string) ([]*unstructured.Unstructured, error) {
	return objects(namespaced, name, namespace)
}

func objects(manifests, name, namespace string) ([]*unstructured.Unstructured, error) {
	request, err := signingRequest()
	if err != nil {
		return nil, err
	}
	manifests = strings.NewReplacer("template: POD", "template: "+podTemplate, "template: NEVER", "template: "+neverTemplate, "request: REQUEST", "request: "+request).Replace(manifests)
	manifests = strings.NewReplacer("NAMESPACE", namespace, "NAME", name).Replace(manifests)
	var out []*unstructured.Unstructured
	for manifest := range bytes.SplitSeq([]byte(manifests), []byte("\n---\n")) {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(manifest, &obj.Object); err != nil {
			return nil, fmt.Errorf("read a manifest of the recovery path: %w: %s", err, manifest)
		}
		out = append(out, obj)
	}
	return out, nil
}

// signingRequest is what a CertificateSigningRequest asks for.
func signingRequest() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "recovers"}}, key)
	if err != nil {
		return "", fmt.Errorf("make a certificate request: %w", err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}
