# Needs Go, make, git and a C compiler for the race detector; every other tool is
# pinned by a module below tools/ and built on first use into the user's cache
# ($MAINSTAY_CACHE, by default mainstay/ in the cache folder), never into the tree.

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

##@ Main

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z][a-z-]*:.*## / {printf "  %-10s %s\n", $$1, $$2}' Makefile

build: ## Build bin/mainstay
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/mainstay ./controller/cmd/mainstay

demo: build ## Lose a worker on a real control plane and watch (KEEP=1 leaves it running)
	$(GO) run ./test/demo $(if $(filter-out 0,$(KEEP)),-keep)

test: binaries ## Run every test, on real control planes, with coverage of controller/internal
	@mkdir -p build
	$(GO) test -timeout 20m -parallel 8 -coverpkg=$(INTERNAL) -coverprofile=build/coverage.out ./...
	@$(GO) tool cover -func=build/coverage.out >build/coverage.txt
	@echo "coverage of controller/internal: $$(awk '$$1 == "total:" {print $$3}' build/coverage.txt)"

bench: ## Run the benchmarks and write build/bench/*.json (RUNS=3)
	@set -e; for dir in test/bench/*/; do \
		if [ -f "$$dir/main.go" ]; then echo "$(GO) run ./$$dir"; $(GO) run "./$$dir" -runs $(or $(RUNS),3) -out build/bench; fi; \
	done
	BENCH_DIR=$(CURDIR)/build/bench $(GO) test -run '^$$' -bench BenchmarkRule -cpu 1 ./controller/internal/rule

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

generate: ## Write deepcopy functions, CRDs and RBAC from the Go types and markers
	@$(call generate,$(OBJECT),manifests/crd,manifests/rbac)

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

# The cache is the checkout's own: findings carry the path of the checkout that
# they were found in, and exclusions by path would miss those of another one.
lint: ## Run golangci-lint
	@lint=$(call tool,golangci-lint); GOLANGCI_LINT_CACHE=$(CURDIR)/build/.lint "$$lint" run ./...

fmt: ## Format the Go code
	@lint=$(call tool,golangci-lint); "$$lint" fmt ./...

binaries: ## Build the test control plane ahead of its first use
	@$(GO) run ./test/cluster/cmd/tool control-plane

cluster: ## Start a test cluster by hand; it prints how to use and to stop it
	@$(GO) run ./test/cluster/cmd/cluster up

clean: ## Remove build/ and bin/; the cache of built tools stays
	rm -rf build bin

# generate writes the deepcopy functions, the CRDs and the RBAC into three folders.
define generate
gen=$(call tool,controller-gen); \
"$$gen" object paths=$(API) output:object:dir=$(1); \
"$$gen" crd paths=$(API) output:crd:dir=$(2); \
"$$gen" rbac:roleName=mainstay paths=$(INTERNAL) output:rbac:dir=$(3)
endef

.PHONY: help build demo test bench verify image generate generated overlays lint fmt binaries cluster clean
