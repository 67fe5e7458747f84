module github.com/mainstay-dev/mainstay/tools/flux

go 1.26.0

require (
	github.com/controlplaneio-fluxcd/flux-operator v0.58.0
	github.com/fluxcd/flux2/v2 v2.9.5
	github.com/fluxcd/helm-controller v1.6.4
	github.com/fluxcd/kustomize-controller v1.9.5
	github.com/fluxcd/source-controller v1.9.5
)
