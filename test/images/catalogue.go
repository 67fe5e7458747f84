package images

import (
	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// Names of the images.
const (
	Pause                  = "pause"
	CoreDNS                = tools.CoreDNS
	SourceController       = tools.SourceController
	KustomizeController    = tools.KustomizeController
	HelmController         = tools.HelmController
	NotificationController = tools.NotificationController
	FluxOperator           = tools.FluxOperator
	Mainstay               = "mainstay"
	// MainstayNext is the program of Mainstay as another version, to upgrade to.
	MainstayNext = "mainstay-next"
)

// DistributionRegistry is what a FluxInstance names in spec.distribution.registry to
// have flux-operator install the controllers of its distribution from these images.
// For the registries that it knows, such as ghcr.io/fluxcd, flux-operator pins the
// digests of the published images, which no other image can have.
const DistributionRegistry = "flux.mainstay.test"

// pauseTag is that of the image that holds a pod's namespaces. Its name is not that
// of Kubernetes' own, because its program is not either.
const pauseTag = "v1"

// distroless is what gcr.io/distroless/static says of itself in /etc/os-release.
const distroless = `PRETTY_NAME="Distroless"
NAME="Debian GNU/Linux"
ID="debian"
VERSION_ID="13"
VERSION="Debian GNU/Linux 13 (trixie)"
`

// recipe says how an image is made.
type recipe struct {
	name string
	// repository is the image's name without a tag.
	repository string
	// user is numeric: a pod with runAsNonRoot is not started from an image that
	// names its user.
	user string
	// program is the path of the program in the image, its only entry point.
	program string
	// own is the package of a program of the project. Every other program is a tool
	// of the image's name.
	own string
	// tagSuffix comes behind the tag that the manifests name.
	tagSuffix string
	// distributed says that flux-operator installs it from its distribution.
	distributed bool
}

func catalogue() []recipe {
	flux := func(name string) recipe {
		return recipe{
			name: name, repository: "ghcr.io/fluxcd/" + name, user: "65534:65534",
			program: "/usr/local/bin/" + name, distributed: true,
		}
	}
	return []recipe{
		{
			name: Pause, repository: "mainstay.test/pause", user: "65535:65535",
			program: "/pause", own: "./test/images/pause",
		},
		// It binds port 53: the file in this image has no capability, so the user has
		// to have it.
		{
			name: CoreDNS, repository: "registry.k8s.io/coredns/coredns", user: "0:0",
			program: "/coredns",
		},
		flux(SourceController),
		flux(KustomizeController),
		flux(HelmController),
		flux(NotificationController),
		{
			name: FluxOperator, repository: "ghcr.io/controlplaneio-fluxcd/flux-operator", user: "65532:65532",
			program: "/flux-operator",
		},
		{
			name: Mainstay, repository: "ghcr.io/mainstay-dev/mainstay", user: "65532:65532",
			program: "/mainstay", own: "./controller/cmd/mainstay",
		},
		{
			name: MainstayNext, repository: "ghcr.io/mainstay-dev/mainstay", user: "65532:65532",
			program: "/mainstay", own: "./controller/cmd/mainstay", tagSuffix: "-next",
		},
	}
}

// Names returns the names of all images.
func Names() []string {
	var names []string
	for _, r := range catalogue() {
		names = append(names, r.name)
	}
	return names
}

func find(name string) (recipe, bool) {
	for _, r := range catalogue() {
		if r.name == name {
			return r, true
		}
	}
	return recipe{}, false
}
