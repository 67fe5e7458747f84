# Needs Go, make, git and a C compiler for the race detector, and for real workers
# what e2e-packages installs; every other tool is pinned by a module below tools/ and
# built on first use into the user's cache ($MAINSTAY_CACHE, by default mainstay/ in
# the cache folder), never into the tree.

SHELL := /bin/sh
.SHELLFLAGS := -ec
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
export VERSION
GO ?= go
# tool is the path of a pinned tool, built when the cache has none.
tool = "$$($(GO) run ./test/cluster/cmd/tool $(1))"

API      := ./controller/api/...
INTERNAL := ./controller/internal/...
# Where generated files belong, and where verify makes them afresh.
OBJECT := controller/api/v1alpha1
# A dot folder: ./... leaves it out.
FRESH  := build/.verify
# What real workers need of Debian: each program, and the package that has it.
WORKER_PROGRAMS := containerd=containerd ctr=containerd runc=runc nft=nftables iptables=iptables \
	conntrack=conntrack ip=iproute2 nsenter=util-linux /usr/lib/cni/bridge=containernetworking-plugins

##@ Main

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z][a-z0-9-]*:.*## / {printf "  %-12s %s\n", $$1, $$2}' Makefile

build: ## Build bin/mainstay
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/mainstay ./controller/cmd/mainstay

demo: build ## Lose a worker on a real control plane and watch (KEEP=1 leaves it running)
	$(GO) run ./test/demo $(if $(filter-out 0,$(KEEP)),-keep)

# Of the two suites that take longest, one comes first and one in the middle: at the end
# nothing would run beside it, and beside each other they are too much for two cores.
test: binaries ## Run every test, on real control planes, with coverage of controller/internal
	@mkdir -p build
	$(GO) test -timeout 20m -parallel 8 -coverpkg=$(INTERNAL) -coverprofile=build/coverage.out \
		./controller/internal/manager ./controller/... ./test/lockout ./...
	@$(GO) tool cover -func=build/coverage.out >build/coverage.txt
	@echo "coverage of controller/internal: $$(awk '$$1 == "total:" {print $$3}' build/coverage.txt)"

# From the time as the seed where none is given; a failure names its own.
fuzz: binaries ## Compare API server, webhook, audit and command line on random rules (MINUTES=60, SEED=)
	FUZZ_MINUTES=$(or $(MINUTES),60) FUZZ_SEED=$(SEED) $(GO) test -count 1 -timeout 0 -run TestPlanes/random ./controller/internal/policy

# The suites whose answer depends on the API server's version. The wording of its
# refusals does too: test/integration/schema has that of the newest one.
oldest: ## Run the corpus and the program's suites on Kubernetes 1.34, the oldest that is supported
	MAINSTAY_KUBERNETES=1.34 $(GO) run ./test/cluster/cmd/tool control-plane
	MAINSTAY_KUBERNETES=1.34 $(GO) test -p 1 -count 1 -timeout 30m -parallel 8 ./controller/internal/policy ./controller/internal/manager ./test/lockout

# Builds cert-manager's controllers first, some minutes of two cores.
cert-manager: binaries ## Try the component cert-manager with cert-manager's own controllers
	$(GO) test -tags e2e -count 1 -timeout 20m ./test/certmanager

bench: ## Run the benchmarks, write build/bench/*.json, fail where a target is missed (RUNS=3)
	BENCH_DIR=$(CURDIR)/build/bench $(GO) test -run '^$$' -bench BenchmarkRule -cpu 1 ./controller/internal/rule
	BENCH_DIR=$(CURDIR)/build/bench $(GO) test -run '^$$' -bench BenchmarkReview -cpu 1 ./controller/internal/webhook
	@missed=0; for dir in test/bench/*/; do \
		if [ -f "$$dir/main.go" ]; then echo "$(GO) run ./$$dir"; $(GO) run "./$$dir" -runs $(or $(RUNS),3) -out build/bench || missed=1; fi; \
	done; exit $$missed

# With -short, what has simulated workers is left to make test. Four clusters run at most at
# once, however many cores there are: two cores have time for them, which wait mostly.
e2e: real e2e-binaries ## Run the suite on real workers and real Flux (Linux, root, after e2e-packages)
	$(GO) test -tags e2e -p 2 -parallel 2 -count 1 -timeout 60m -short ./test/e2e/... ./test/cluster/... ./test/faults/... ./test/fluxrun/...

drill: real e2e-binaries ## Measure the stall after each fault into build/drill (SHORT=1, ARGS="-help")
	$(GO) run ./test/drill $(if $(filter-out 0,$(SHORT)),-short) $(ARGS)

verify: lint overlays generated ## Lint, build every overlay, check that generated files are current

image: ## Build the image into build/image, an OCI layout, without pushing (BASE=<image>)
	@mkdir -p build/image
	@ko=$(call tool,ko); \
	KO_DOCKER_REPO=ghcr.io/mainstay-dev $(if $(BASE),KO_DEFAULTBASEIMAGE=$(BASE)) \
	"$$ko" build --push=false --base-import-paths --tags "$(VERSION)" --oci-layout-path build/image ./controller/cmd/mainstay || { \
		echo "make image: ko failed. It pulls the base image ($(or $(BASE),see .ko.yaml)) from its registry:" >&2; \
		echo "where that cannot be reached, give one that can be: make image BASE=registry.example/static" >&2; \
		exit 1; }

##@ Parts

generate: ## Write deepcopy functions, CRDs, RBAC, the patches for a FluxInstance and a table of the docs
	@$(call generate,$(OBJECT),manifests/crd,manifests/rbac)
	@$(GO) run ./patches/generate
	@$(GO) run ./controller/internal/policy/generate

generated: ## Fail when a generated file is not what generate would write
	@rm -rf $(FRESH); mkdir -p $(FRESH)/object $(FRESH)/crd $(FRESH)/rbac
	@$(call generate,$(FRESH)/object,$(FRESH)/crd,$(FRESH)/rbac)
	@stale=0; check() { \
		for new in $(FRESH)/$$1/*; do diff -u "$$2/$${new##*/}" "$$new" || stale=1; done; }; \
	check object $(OBJECT); check crd manifests/crd; check rbac manifests/rbac; \
	for old in manifests/crd/mainstay.dev_*.yaml; do \
		[ -e "$(FRESH)/crd/$${old##*/}" ] || { echo "$$old: no type generates it"; stale=1; }; done; \
	[ $$stale = 0 ] || { echo "generated files are not current: run make generate" >&2; exit 1; }

overlays: ## Build every kustomization with plain kustomize
	@mkdir -p build; kustomize=$(call tool,kustomize); \
	find clusters flux manifests patches -name kustomization.yaml | sort | while read -r file; do \
		if grep -q '^kind: Component' "$$file"; then continue; fi; \
		echo "kustomize build $${file%/*}"; \
		"$$kustomize" build "$${file%/*}" >build/overlay.yaml; \
	done

# Each checkout has a cache of its own, by its path: findings carry the path of the checkout
# that they were found in, and exclusions by path would miss those of another one.
lint: ## Run golangci-lint
	@lint=$(call tool,golangci-lint); \
	cache="$${lint%/*/*}/lint-$$(printf %s "$(CURDIR)" | cksum | cut -d' ' -f1)"; \
	GOLANGCI_LINT_CACHE="$$cache" "$$lint" run ./...

fmt: ## Format the Go code
	@lint=$(call tool,golangci-lint); "$$lint" fmt ./...

binaries: ## Build the test control plane ahead of its first use
	@$(GO) run ./test/cluster/cmd/tool control-plane

# real fails, with all that is missing, where real workers cannot run.
real:
	@[ "$$(uname -s)" = Linux ] || { echo "real workers need Linux" >&2; exit 1; }
	@[ "$$(id -u)" = 0 ] || { echo "real workers need root: run this target as root" >&2; exit 1; }
	@PATH="$$PATH:/usr/sbin:/sbin"; missing=; for pair in $(WORKER_PROGRAMS); do \
		command -v "$${pair%%=*}" >/dev/null || missing="$$missing $${pair%%=*}"; done; \
	[ -z "$$missing" ] || { echo "missing:$$missing. Install them first; on Debian: make e2e-packages" >&2; exit 1; }

e2e-binaries: ## Build the programs and images of real workers ahead of their first use
	@$(GO) run ./test/cluster/cmd/tool control-plane kubelet kube-proxy
	@$(GO) run ./test/images/cmd/images

# A container runtime that runs here already is left alone: nothing that is there is
# upgraded, and --no-remove refuses to replace another one. One that this installs
# is masked first, so that its service starts neither now nor with the machine: the
# workers run their own.
e2e-packages: ## Install the Debian packages that real workers need, where they are missing
	@PATH="$$PATH:/usr/sbin:/sbin"; packages=; \
	for pair in $(WORKER_PROGRAMS); do \
		command -v "$${pair%%=*}" >/dev/null && continue; \
		case " $$packages " in *" $${pair#*=} "*) ;; *) packages="$$packages $${pair#*=}";; esac; \
	done; \
	[ "$$packages" ] || exit 0; \
	ID="another system"; if [ -r /etc/os-release ]; then . /etc/os-release; fi; \
	if [ "$$ID" != debian ]; then \
		echo "make e2e-packages: needs Debian, and this is $$ID. Real workers need what these packages of Debian 12 have:$$packages" >&2; exit 1; fi; \
	if [ "$$(id -u)" != 0 ]; then \
		echo "make e2e-packages: needs root to install:$$packages" >&2; exit 1; fi; \
	case "$$packages" in *containerd*) \
		mkdir -p /etc/systemd/system; unit=/etc/systemd/system/containerd.service; \
		[ -e "$$unit" ] || [ -L "$$unit" ] || [ -e /lib/systemd/system/containerd.service ] || ln -s /dev/null "$$unit";; esac; \
	export DEBIAN_FRONTEND=noninteractive; echo "installing$$packages"; \
	apt-get update -qq; apt-get install -y -qq --no-remove --no-upgrade --no-install-recommends $$packages

cluster: ## Start a test cluster by hand; it prints how to use and to stop it
	@$(GO) run ./test/cluster/cmd/cluster up

# The records of a drill took hours: they go only by hand.
clean: ## Remove bin/ and build/ without build/drill; the cache of built tools stays
	rm -rf bin
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name drill -exec rm -rf {} +; fi
	@if [ -d build/drill ]; then echo "the records of a drill stay: build/drill"; else rm -rf build; fi

# generate writes the deepcopy functions, the CRDs and the RBAC into three folders.
define generate
gen=$(call tool,controller-gen); \
"$$gen" object paths=$(API) output:object:dir=$(1); \
"$$gen" crd paths=$(API) output:crd:dir=$(2); \
"$$gen" rbac:roleName=mainstay paths=$(INTERNAL) output:rbac:dir=$(3)
endef

.PHONY: help build demo test fuzz oldest cert-manager bench e2e drill real verify image generate generated overlays lint fmt binaries e2e-binaries e2e-packages cluster clean
