# Everything here works on a fresh machine with Go, Node, Python, Java with Maven and gcc.

DATA     ?= data
GOFLAGS  += -trimpath
VERSION  := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w
FUNCTIONS := $(notdir $(wildcard functions/*))
ARCH     ?= arm64

.DEFAULT_GOAL := help
.PHONY: help run test check bench build deploy clean deps sam-local

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: bin/bulliond bin/bullion ## build and start everything on this machine, with its data in ./data
	@bin/bulliond --data $(DATA)

test: deps ## run every test: both Go modules with the race detector, the dashboard, end to end
	go test -race ./...
	cd infra/local && go test -race ./...

check: ## format, vet, staticcheck, known vulnerabilities
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "run gofmt -w on these files"; exit 1; }
	go vet ./... && cd infra/local && go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	cd infra/local && go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	.ci/vulncheck

bench: bin/bulliond bin/bullion ## measure: requests, lists, uploads, memory; beside the disk and the hashes of this machine
	cd infra/local && go run ./bench

build: bin/bulliond bin/bullion ## build the programs into bin/

bin/bulliond: FORCE
	cd infra/local && CGO_ENABLED=0 go build $(GOFLAGS) -ldflags '$(LDFLAGS)' -o ../../bin/bulliond ./cmd/bulliond

bin/bullion: FORCE
	CGO_ENABLED=0 go build $(GOFLAGS) -ldflags '$(LDFLAGS) -X main.version=$(VERSION)' -o bin/bullion ./cmd/bullion

deps: ## install the Debian packages that the tests need (as root), or say which
	@.ci/deps

clean: ## remove what was built; data stays
	rm -rf bin build .aws-sam web/dist

FORCE:
