# Everything that a newcomer needs is `make demo` and `make test`. Both do all their own set-up; Go and
# make are enough. Long measurements and soaks have targets of their own and are not part of either.

GO ?= go
export CGO_ENABLED = 0

# make demo INPUT=path   uploads a file or tree of yours instead of Go's source and a file of weights
# make demo KEEP=1       leaves everything running at the end, and says what to try
# make bench-tunnel BENCH="-rounds 1 -only tcp1"   measures a part; see tests/bench/tunnel/doc.go
INPUT ?=
KEEP ?=
FUZZTIME ?= 30s
BENCH ?=

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.7.0
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@latest
CLIENTS     = awscli rclone s3cmd restic python3-boto3 nodejs npm

.PHONY: build demo lab-clean test race lint vuln cross fuzz test-interop interop accuracy bench-tunnel bench-weights clean

build: ## the daemon and the CLI, in bin/
	$(GO) build -trimpath -o bin/ ./cmd/galleond ./cmd/galleon

demo: build ## a whole fabric on this machine
	$(GO) build -trimpath -o bin/demo ./tests/lab/demo
	@bin/demo $(if $(KEEP),-keep) $(if $(INPUT),-input "$(INPUT)")

lab-clean: ## removes what failed or crashed demos left under the directory for temporary files
	$(GO) run ./tests/lab/demo clean

test: build ## vet, and every test that this account may run; those that need more say so
	$(GO) vet ./...
	$(GO) test -timeout 20m ./...
	$(GO) test -tags purego ./fabric/aesgcm

race: ## the concurrent rooms under the race detector; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -short -timeout 30m ./fabric/... ./netcfg/... ./replication/... ./consensus/... ./cmd/...

lint: ## formatting and static analysis
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	$(GO) run $(STATICCHECK) ./...

vuln: ## known vulnerabilities of what is linked in; needs the vulnerability database
	$(GO) run $(GOVULNCHECK) ./...

cross: ## the CLI for desks, the daemon for other routers
	for os in darwin windows; do GOOS=$$os $(GO) build -o /dev/null ./cmd/galleon || exit 1; done
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/galleond

fuzz: ## every fuzz target for FUZZTIME
	@for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; done

interop: test-interop

test-interop: ## real object clients, and other people's suites, against a running fabric; takes some ten minutes
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get install -y --no-install-recommends $(CLIENTS) >/dev/null 2>&1 || { apt-get update && apt-get install -y --no-install-recommends $(CLIENTS); } >/dev/null; \
	else echo "to try every client, install: $(CLIENTS)"; fi
	@mkdir -p bin/node && { command -v npm >/dev/null && npm install --silent --prefix bin/node @aws-sdk/client-s3 >/dev/null 2>&1 \
		|| echo "without npm Amazon's SDK for JavaScript is left out"; }
	GALLEON_INTEROP=1 GALLEON_NODE_DIR=$(CURDIR)/bin/node $(GO) test -count=1 -v -timeout 60m ./tests/interop

accuracy: ## holds the wide-area emulator to its promises; wants the machine for itself
	GALLEON_ACCURACY=1 $(GO) test -count=1 -v -timeout 10m ./tests/lab/accuracy

bench-tunnel: build ## the tunnel beside wireguard-go, Nebula and no tunnel; BENCH="-rounds 1 -only tcp1" for a part; wants the machine for itself
	$(GO) build -trimpath -o bin/bench-tunnel ./tests/bench/tunnel
	@bin/bench-tunnel $(BENCH)

bench-weights: ## model weights on the wire beside zstd and content-defined chunks, on one core; BENCH="-only rl-1" for a part; wants the machine for itself
	$(GO) build -trimpath -o bin/bench-weights ./tests/bench/weights
	@bin/bench-weights $(BENCH)

clean:
	rm -rf bin out
