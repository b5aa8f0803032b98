# Everything that a newcomer needs is `make demo` and `make test`. Both do all their own set-up; Go and
# make are enough. Long measurements and soaks have targets of their own and are not part of either.

GO ?= go
export CGO_ENABLED ?= 0

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.7.0
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@latest

.PHONY: build demo lab-clean test race lint vuln cross fuzz interop clean

build: ## the daemon and the CLI, in bin/
	$(GO) build -trimpath -o bin/ ./cmd/galleond ./cmd/galleon

demo: build ## a whole fabric on this machine; INPUT=path takes your files, KEEP=1 leaves it running
	$(GO) build -trimpath -o bin/ ./tests/lab/demo
	bin/demo $(if $(INPUT),-input '$(INPUT)') $(if $(KEEP),-keep)

test: build ## vet, and every test that this account may run; those that need root say so when skipped
	$(GO) vet ./...
	$(GO) test -timeout 20m ./...

race: ## the concurrent rooms under the race detector; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./fabric/... ./netcfg/... ./replication/... ./consensus/... ./cmd/...

lint: ## formatting and static analysis
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	$(GO) run $(STATICCHECK) ./...

vuln: ## known vulnerabilities of what is linked in; needs the vulnerability database
	$(GO) run $(GOVULNCHECK) ./...

cross: ## the CLI for desks, the daemon for other routers
	for os in darwin windows; do GOOS=$$os $(GO) build -o /dev/null ./cmd/galleon || exit 1; done
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/galleond ./tests/lab/demo

FUZZTIME ?= 30s
fuzz: ## every fuzz target for FUZZTIME
	@for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; done

clean:
	rm -rf bin out
