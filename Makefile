# Everything here works on a fresh machine with Go, Node, Python, Rust and gcc.

DATA     ?= data
GOFLAGS  += -trimpath
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w
ARCH     ?= arm64
OUT      ?= build/functions
# Tests run with the race detector, but for SQLite's engine: it is C translated to Go, one connection's memory, without goroutines or locks, and
# watching each of its loads and stores costs five times its work. What is around it, and calls it, is watched.
RACE     := -race -gcflags=github.com/ncruces/go-sqlite3-wasm/...=-race=false
FUNCTIONS := images uploads identity validate importer scrub

.DEFAULT_GOAL := help
.PHONY: help run test e2e check bench build functions deploy sam-local aws-local deps clean FORCE

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: bin/bulliond bin/bullion ## build and start everything on this machine, with its data in ./data
	@bin/bulliond --data $(DATA)

test: deps web/dist ## run every test: both Go modules with the race detector, the dashboard, end to end
	go test $(RACE) -timeout 30m ./...
	go test -run '^TestStoreKeepsTheContract$$/^many_records$$' ./internal/sqlitestore # 100,000 of them; with the race detector 2,000
	cd infra/local && go test $(RACE) -count=1 -timeout 30m ./...
	cd web && npm run -s check

e2e: ## use the dashboard as people do, in a real Chromium: on bulliond, and on the built functions
	.ci/e2e

check: ## format, vet, staticcheck, known vulnerabilities
	@unformatted=$$(gofmt -l cmd functions infra internal web/*.go); [ -z "$$unformatted" ] || { echo "run gofmt -w on $$unformatted"; exit 1; }
	go vet ./... && cd infra/local && go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	cd infra/local && go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	.ci/vulncheck

bench: bin/bulliond ## measure requests, lists, uploads, memory, hashes and inspections, beside what this machine can do and a Keystone on it
	cd infra/local && go run ./bench

build: bin/bulliond bin/bullion ## build the programs into bin/

bin/bulliond: web/dist FORCE
	cd infra/local && CGO_ENABLED=0 go build -tags ui $(GOFLAGS) -ldflags '$(LDFLAGS)' -o ../../bin/bulliond ./cmd/bulliond

bin/awslocal: web/dist FORCE
	cd infra/local && CGO_ENABLED=0 go build -tags ui $(GOFLAGS) -ldflags '$(LDFLAGS)' -o ../../bin/awslocal ./harness/awslocal

bin/bullion: FORCE
	CGO_ENABLED=0 go build $(GOFLAGS) -ldflags '$(LDFLAGS) -X main.version=$(VERSION)' -o bin/bullion ./cmd/bullion

web/dist: $(shell find web/src web/build web/public web/index.html web/package.json internal/api/openapi.yaml -type f 2>/dev/null) $(wildcard internal/diskimage/*.go)
	cd web && npm ci --no-audit --no-fund --silent && npm run -s build
	@touch web/dist

functions: $(FUNCTIONS:%=$(OUT)/%) ## build the functions for AWS into build/functions; ARCH=amd64 for x86_64

$(OUT)/%: FORCE
	@mkdir -p $@
	$(call function,$*,$@)

# What sam build calls, with the folder for the result in ARTIFACTS_DIR. The same artefacts as make functions.
build-%Function: FORCE
	$(call function,$(shell echo $* | tr A-Z a-z),$(ARTIFACTS_DIR))

function = CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags '$(LDFLAGS)' -o $(2)/bootstrap ./functions/$(1)

deploy: web/dist ## build and deploy to AWS: functions, tables, bucket, users, dashboard; STACK and REGION choose where
	infra/deploy

sam-local: ## answer as on AWS on this machine: sam local start-api over DynamoDB and S3 engines (docs/operations.md)
	infra/sam-local

aws-local: bin/awslocal ## answer as on AWS on this machine, without Docker: the built functions over DynamoDB and S3 engines
	@bin/awslocal

deps: ## install the Debian packages that the tests need (as root), or say which
	@.ci/deps

clean: ## remove what was built; data stays
	rm -rf bin build .aws-sam web/dist

FORCE:
