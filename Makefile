# Every target works on every module of the repository; the ones below the
# root (benchmarks, eventsvet, …) are found by their go.mod.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL: # most steps use all cores, and tests with a time in them want quiet

# Each module is built as its users get it. The workspace of go.work is for
# editors: with it, a requirement missing in one module could come from another.
export GOWORK := off

NESTED := $(patsubst %/go.mod,%,$(filter-out tools/go.mod,$(wildcard */go.mod)))
MODULES := . $(NESTED)
TOOL := go tool -modfile=$(CURDIR)/tools/go.mod

# The race detector needs cgo. Without a C compiler the tests run all the same.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

FUZZTIME ?= 30s
BENCH ?= .
BENCHTIME ?= 300ms
ROUNDS ?= 6

say = @printf '\n== %s\n' "$(1)"

# ---------------------------------------------------------------- for everyone

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: ## Run the quickstart example
	@go run ./examples/quickstart

.PHONY: test
test: check-format check-deps test-root test-plain test-nested lint ## Check, test and lint everything, as CI does
	$(call say,all of it passed)

.PHONY: race
race: ## Test the library and its examples under the race detector
	go test -race -shuffle=on -timeout 5m ./...

.PHONY: lint
lint: check-deps check-gofumpt golangci eventsvet ## Run every linter, and eventsvet, over every module

.PHONY: bench
bench: ## Measure, and print the ratios beside the budget (BENCH=Typed, BENCHTIME=1s, ROUNDS=10)
	$(call say,$(ROUNDS) rounds of $(bench))
	@mkdir -p bin
	@for ((round = 1; round <= $(ROUNDS); round++)); do $(bench) || exit 1; done \
		| tee bin/bench.txt \
		| go run ./internal/budget -command "$(ROUNDS) rounds of $(bench)"

# Rounds, not -count: a machine that drifts then hurts all benchmarks alike. Two
# processors, because that is what the budget is written for.
bench = go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -cpu 2 .

.PHONY: bench-diff
bench-diff: ## Compare the last `make bench` with an older bin/bench.txt (OLD=file)
	@$(TOOL) benchstat $(or $(OLD),$(error say OLD=file, a copy of an older bin/bench.txt)) bin/bench.txt

.PHONY: compare
compare: ## Measure all buses side by side and write docs/benchmarks.md (QUICK=1: in minutes)
	@cd benchmarks && go run ./cmd/compare $(if $(QUICK),-quick)

.PHONY: fuzz
fuzz: ## Run each fuzz test for FUZZTIME=30s
	@grep -rEo --include='*_test.go' --exclude-dir=testdata '^func Fuzz\w+' $(MODULES) \
		| sort -u | sed 's/^\.\///; s/:func / /' \
		| { failed=; while read -r file target; do \
			printf '\n== %s in %s\n' "$$target" "$$(dirname "$$file")"; \
			(cd "$$(dirname "$$file")" && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) . < /dev/null) || failed=1; \
		done; [ -z "$$failed" ]; }

.PHONY: cover
cover: ## Show the test coverage of the library, least covered functions first
	go test -coverprofile=cover.out -coverpkg=$$(go list -deps . | grep ^github.com/typedbus/ | paste -s -d , -) . ./internal/...
	@go tool cover -func=cover.out | grep -v ^total: | sort -n -k 3 | awk 'NR <= 15'
	@go tool cover -func=cover.out | tail -n 1
	@echo "line by line: go tool cover -html=cover.out"

.PHONY: tidy
tidy: ## Format all code and tidy every go.mod
	$(TOOL) gofumpt -w .
	$(call each,. $(NESTED) tools,go mod tidy)

# ------------------------------------------------------------- the steps of test

# each runs a command in each of some folders, and fails at the end if it did
# in any.
each = @failed=; for module in $(1); do (cd "$$module" && $(2)) || failed=1; done; [ -z "$$failed" ]

.PHONY: check-format
check-format:
	$(call say,gofmt)
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path '*/testdata/*')); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make tidy:"; echo "$$unformatted"; exit 1; fi

# The library's users get what it imports, and testing would put its flags into
# their programs. Its go.mod lists what its tests need, too.
.PHONY: check-deps
check-deps:
	$(call say,dependencies of the library)
	@imported=$$(go list -deps -f '{{if or (not .Standard) (eq .ImportPath "testing")}}{{.ImportPath}}{{end}}' .) || exit 1; \
	required=$$(go list -m -f '{{if not (or .Main .Indirect)}}{{.Path}}{{end}}' all) || exit 1; \
	if grep -Ev '^((github.com/typedbus/events|golang.org/x/sync)(/.*)?)?$$' <<< "$$imported"; then \
		echo "must not be imported by the library"; exit 1; fi; \
	if grep -Evx '|golang.org/x/sync|github.com/stretchr/testify' <<< "$$required"; then \
		echo "must not be required by the library's go.mod"; exit 1; fi

.PHONY: test-root
test-root:
	$(call say,the library and its examples$(if $(RACE),$(comma) with the race detector))
	go vet ./...
	go test $(RACE) -shuffle=on -timeout 5m ./...

# Once more without the race detector, under which the tests that count
# allocations and memory skip or shorten themselves.
.PHONY: test-plain
test-plain:
	$(call say,the library without the race detector)
	go test -timeout 5m . ./internal/...

.PHONY: test-nested
test-nested: $(NESTED:%=test-%)

.PHONY: $(NESTED:%=test-%)
$(NESTED:%=test-%): test-%:
	$(call say,module $*)
	cd $* && go vet ./...
	cd $* && go test -timeout 10m ./...

# ------------------------------------------------------------- the steps of lint

.PHONY: check-gofumpt
check-gofumpt:
	$(call say,gofumpt)
	@unformatted=$$($(TOOL) gofumpt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make tidy:"; echo "$$unformatted"; exit 1; fi

.PHONY: golangci
golangci:
	$(call say,golangci-lint)
	$(call each,$(MODULES),$(TOOL) golangci-lint run --config $(CURDIR)/.golangci.yml ./...)

# The analyzer that users of the library run on their code, run on ours.
.PHONY: eventsvet
eventsvet:
	$(call say,eventsvet)
	@cd eventsvet && go build -o $(CURDIR)/bin/eventsvet ./cmd/eventsvet
	go vet -vettool=$(CURDIR)/bin/eventsvet ./...

comma := ,
