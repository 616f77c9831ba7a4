# test is what to run while working: the library alone. test-all and lint work on
# every module of the repository; the ones below the root (benchmarks, eventssql,
# eventsvet, …) are found by their go.mod.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL: # most steps use all cores, and tests with a time in them want quiet

# Each module is built as its users get it. The workspace of go.work is for
# editors: with it, a requirement missing in one module could come from another.
export GOWORK := off

NESTED := $(patsubst %/go.mod,%,$(filter-out tools/go.mod,$(wildcard */go.mod examples/*/go.mod)))
MODULES := . $(NESTED)
TOOL := go tool -modfile=$(CURDIR)/tools/go.mod

# The race detector needs cgo. Without a C compiler the tests run all the same.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

# The packages of the library, small ones first: a package is tested as soon as
# it is compiled, so that there is something to see early.
TESTED := ./internal/budget ./examples/... ./internal/... ./...

FUZZTIME ?= 30s
MODELTIME ?= 1h
CHAOSTIME ?= 10m
BENCH ?= .
BENCHTIME ?= 300ms
ROUNDS ?= 6

say = @printf '\n== %s\n' "$(1)"

# ---------------------------------------------------------------- for everyone

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: ## Run the quickstart example
	@go run ./examples/quickstart

.PHONY: durable
durable: ## Run the example of events that outlive their process
	@cd examples/durable && go run .

.PHONY: jetstream
jetstream: ## Run the example of workers that share events through a NATS server
	@cd examples/jetstream && go run .

.PHONY: test
test: check-format check-structure check-deps test-root ## Test the library and its examples
	$(call say,the library and its examples passed)

.PHONY: test-all
test-all: test test-race test-nested check-platforms check-typecost ## Test the rest, too: with the race detector and every module
	$(call say,all of test-all passed)

.PHONY: race
race: ## Test the library and its examples under the race detector
	go test -race -shuffle=on -timeout 5m $(TESTED)

.PHONY: lint
lint: check-deps lint-tools check-gofumpt golangci eventsvet ## Run every linter, and eventsvet, over every module
	$(call say,no linter has a complaint)

.PHONY: bench
bench: ## Measure, and print the ratios beside the budget (BENCH=Typed, BENCHTIME=1s, ROUNDS=10)
	$(call say,$(ROUNDS) rounds of $(bench-root)$(comma) and in benchmarks of $(bench-peers))
	@mkdir -p bin
	@go build -o bin/budget ./internal/budget
	@for ((round = 1; round <= $(ROUNDS); round++)); do \
			$(bench-root) && (cd benchmarks && $(bench-peers)) || exit 1; \
		done \
		| tee bin/bench.txt \
		| bin/budget -command "$(ROUNDS) rounds of $(bench-root), and in benchmarks of $(bench-peers)"

# Rounds, not -count: a machine that drifts then hurts all benchmarks alike. Two
# processors, because that is what the budget is written for. The benchmarks
# beside other libraries are in a module of their own, which requires those.
bench-root = go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -timeout 30m -cpu 2 .
bench-peers = go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -cpu 2 .

.PHONY: bench-durable
bench-durable: ## Measure the engines of durable events beside bare clients (ROUNDS=10)
	$(call say,$(ROUNDS) rounds of $(bench-beside) in eventssql and eventsnats)
	@mkdir -p bin
	@go build -o bin/budget ./internal/budget
	@for ((round = 1; round <= $(ROUNDS); round++)); do \
			(cd eventssql && $(bench-beside) ./internal/beside) && (cd eventsnats && $(bench-beside) .) || exit 1; \
		done \
		| tee bin/bench-durable.txt \
		| bin/budget -durable -command "$(ROUNDS) rounds of $(bench-beside) in eventssql and eventsnats"

bench-beside = go test -run '^$$' -bench . -benchtime 1s -timeout 30m -cpu 2

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

.PHONY: model
model: ## Run the model of queues for MODELTIME=1h
	go test -run TestQueuesAgreeWithModel -timeout 0 . -queue.model=$(MODELTIME)

.PHONY: model-perturbed
model-perturbed: ## The same on a copy in which goroutines let others run where that matters
	go -C tools run ./perturb -root .. -run TestQueuesAgreeWithModel -timeout 0 . -queue.model=$(MODELTIME)

# With BREAK the run is one of engines that were broken on purpose, which it has to notice.
.PHONY: chaos
chaos: ## Kill, stop and restart processes of durable events for CHAOSTIME=10m (ENGINE=sqlite, SCENARIO=rolling, QUICK=1, BREAK=all)
	@mkdir -p bin
	@cd chaos && go build -o ../bin/chaos . && ../bin/chaos -time=$(CHAOSTIME) \
		$(if $(ENGINE),-engine=$(ENGINE)) $(if $(SCENARIO),-scenario=$(SCENARIO)) $(if $(QUICK),-quick) $(if $(BREAK),-break=$(BREAK))

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

# counted shows how far a go build -v has come, with a line now and then instead
# of one for each module and package. Whatever else it says is shown.
counted = 2>&1 | { modules= packages=0; \
	while IFS= read -r line; do \
		case "$$line" in \
			"go: downloading "*) modules=$$((modules + 1)) ;; \
			*[\ :]*) printf '%s\n' "$$line" ;; \
			*) packages=$$((packages + 1)) ;; \
		esac; \
		[ $$(((modules + packages) % 40)) -ne 39 ] || echo "  $${modules:+$$modules modules downloaded, }$$packages packages compiled"; \
	done; \
	[ $$((modules + packages)) -eq 0 ] || echo "  $${modules:+$$modules modules downloaded, }$$packages packages compiled: all of them"; }

# each runs a command in each of some folders, and fails at the end if it did
# in any.
each = @failed=; for module in $(1); do \
		echo "in $${module/\#./the root}"; \
		(cd "$$module" && $(2)) || failed=1; \
	done; [ -z "$$failed" ]

.PHONY: check-format
check-format:
	$(call say,gofmt)
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path '*/testdata/*')); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make tidy:"; echo "$$unformatted"; exit 1; fi

.PHONY: check-structure
check-structure:
	$(call say,structure of the library)
	@.ci/check-structure

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

# Without the race detector, under which the tests that count allocations and
# memory skip or shorten themselves. All of vet is in it: on its own it would
# look at the standard library once more, which takes a minute when nothing is
# compiled yet.
.PHONY: test-root
test-root:
	$(call say,the library and its examples$(comma) with vet)
	@echo "20 seconds, or 2 minutes where nothing is compiled yet"
	@imported=$$(go list -deps -test -f '{{if not (or .ForTest (eq .Name "main"))}}{{.ImportPath}}{{end}}' ./...); \
		go build -v $$imported $(counted)
	go test -vet=all -shuffle=on -timeout 5m $(TESTED)

# Its tests are the same: what differs is that the race detector looks on, and
# that all code, the standard library's too, has to be compiled for it.
.PHONY: test-race
test-race:
ifdef RACE
	$(call say,the library and its examples once more$(comma) with the race detector: 1 to 3 minutes)
	go test -race -vet=off -shuffle=on -timeout 5m $(TESTED)
else
	$(call say,no C compiler$(comma) so nothing is tested with the race detector)
endif

.PHONY: test-nested
test-nested: $(NESTED:%=test-%)

.PHONY: $(NESTED:%=test-%)
$(NESTED:%=test-%): test-%:
	$(call say,module $*: up to 3 minutes the first time)
	cd $* && go test -vet=all -timeout 10m $(if $(filter eventssql eventsnats,$*),$(RACE)) ./...

# Types and constants that fit one kind of processor only.
.PHONY: check-platforms
check-platforms:
	$(call say,the library and its tests on 386 and on arm64: 1 to 3 minutes the first time)
	@failed=; for arch in 386 arm64; do \
		echo "on $$arch"; \
		GOARCH=$$arch CGO_ENABLED=0 go vet ./... || failed=1; \
	done; [ -z "$$failed" ]

# What a payload type adds to a program.
.PHONY: check-typecost
check-typecost:
	$(call say,binary cost of a payload type: 1 minute)
	@cd benchmarks && go run ./cmd/typecost

# ------------------------------------------------------------- the steps of lint

# The linters are built from source; go builds them the first time only.
.PHONY: lint-tools
lint-tools:
	$(call say,the linters: the first time about 240 modules are downloaded and built$(comma) which takes some minutes)
	@go build -v -modfile=$(CURDIR)/tools/go.mod tool $(counted)

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
