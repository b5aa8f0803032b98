# Everything here needs Go and make, and nothing else.
GO ?= go
export CGO_ENABLED = 0

# make demo INPUT=path   uploads a file or tree of yours instead of Go's source and a file of weights
# make demo KEEP=1       leaves everything running at the end, and says what to try
INPUT ?=
KEEP ?=

.PHONY: build demo lab-clean

build:
	$(GO) build -o bin/ ./cmd/galleond ./cmd/galleon

demo: build
	$(GO) build -o bin/demo ./tests/lab/demo
	@bin/demo $(if $(KEEP),-keep) $(if $(INPUT),-input "$(INPUT)")

# lab-clean removes what failed or crashed demos left under the directory for temporary files.
lab-clean:
	$(GO) run ./tests/lab/demo clean
