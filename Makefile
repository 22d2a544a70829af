# The one list of habits. Each installs what it needs first (scripts/setup), once.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

# Where cargo builds: target, unless CARGO_TARGET_DIR says otherwise.
TARGET := $(or $(CARGO_TARGET_DIR),target)
PYTHON := .venv/bin/python
CLIENTS := integration-tests/clients
SHOTS := integration-tests/screenshots
export PATH := $(CURDIR)/.tools/bin:$(CURDIR)/.venv/bin:$(PATH)

# Says which step begins, so that the last such line before an error names what failed.
step = @printf '\n==> %s\n' '$(1)'

.PHONY: help setup run twitch-sim demo conformance test lint interop cuda bench bench-moments soak bench-stage golden fuzz \
	screenshots fmt audit clean lint-rust lint-docs lint-deps lint-text lint-pages test-pages test-clients test-rust test-loom

help: ## List the habits
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Install everything the habits need
	@scripts/setup test

run: ## Run the server on its default configuration (TLS=self-signed: over HTTPS for other machines, with tokens)
	@scripts/setup run
	$(if $(filter-out self-signed,$(TLS)),$(error TLS=$(TLS) is not known; TLS=self-signed is))
	cargo $(if $(TLS),build,run) --release -p reverie-sfu --bin reverie $(if $(TLS),,-- serve)
	$(if $(TLS),@scripts/run-tls $(TARGET)/release/reverie)

twitch-sim: ## Run a stand-in for Twitch, and say how a server is pointed at it (ARGS="--panel FOLDER --channel NAME")
	@cargo run --quiet -p reverie-integration-tests --no-default-features --bin twitch-sim -- $(ARGS)

demo: ## Publish a clip, watch it through one moment, print a report (KEEP=1 leaves the server up)
	@scripts/setup demo
	cargo build --release -p reverie-sfu --bin reverie
	@$(PYTHON) $(CLIENTS)/demo.py --server $(TARGET)/release/reverie --out demo $(if $(KEEP),--keep)

conformance: ## Run the tests of RFC 9725 and WHEP, and write docs/conformance.md from their names
	@scripts/setup test
	cargo nextest run --workspace --locked -E 'test(/(^|::)[we][0-9]+_/)'
	REVERIE_WRITE_DOCS=1 cargo nextest run --locked -p reverie-integration-tests -E 'test(conformance::document::)'

test: ## Run everything CI runs: lint, unit tests, and real clients against the server
	@scripts/setup test
	@$(MAKE) lint test-pages test-clients test-rust test-loom
	$(call step,everything passed)

lint: ## Check format, lints, documentation, dependencies, spelling and the pages
	@scripts/setup lint
	@$(MAKE) lint-text lint-pages lint-deps lint-rust lint-docs

interop: ## Run every client of docs/interop.md, GStreamer's too, and write its table anew
	@scripts/setup interop
	rm -rf $(TARGET)/interop
	REVERIE_INTEROP=$(CURDIR)/$(TARGET)/interop cargo nextest run --workspace --locked \
		--run-ignored all -E 'package(reverie-integration-tests) and test(/^interop::/)'
	cargo nextest run --locked -p reverie-integration-tests --features openssl \
		--run-ignored all -E 'test(/^interop::certificates::/)'
	$(PYTHON) $(CLIENTS)/interop_table.py $(TARGET)/interop docs/interop.md

cuda: ## Install libtorch with CUDA, and build what records CUDA graphs
	@scripts/setup cuda

bench: ## Measure the codecs and the forwarding path
	@scripts/setup bench
	cargo bench -p reverie-transcoder --bench codec
	cargo bench -p reverie-sfu --bench forward
	cargo bench -p reverie-sfu --bench stray

bench-moments: ## Measure the store of moments and its events to 1000 readers, on SQLite and PostgreSQL
	@scripts/setup bench
	@cargo bench --quiet -p reverie-moments --bench store
	@ulimit -n 4096 && cargo bench --quiet -p reverie-integration-tests --no-default-features --bench fanout

soak: ## Kill three servers 200 times while 600 moments run over 20 channels (half an hour or more)
	@scripts/setup test
	REVERIE_SOAK=1 cargo nextest run --workspace --locked --no-capture -E 'test(/^kills::soak::/) or test(/^model::/)'

bench-stage: ## Measure the diffusion stage: DEVICE=cuda MODEL=sd-turbo-shape STEPS=1 KIND=bf16 CHANNELS=6 COMPARE=python
	@scripts/setup bench
	@DEVICE=$(DEVICE) MODEL=$(MODEL) STEPS=$(STEPS) KIND=$(KIND) CHANNELS=$(CHANNELS) THREADS=$(THREADS) SECONDS=$(SECONDS) \
		cargo bench --quiet -p reverie-diffusion --bench stage
	@$(if $(COMPARE),SECONDS_EACH=$(SECONDS) diffusion/benches/compare)

golden: ## Make the tensors that the tests of diffusion compare with anew, with the original Python
	diffusion/golden/regenerate.sh

# What is found beyond the committed corpus goes to an ignored folder; crashes to artifacts beside it.
FUZZING := integration-tests/fuzz
DICTIONARY := $(if $(filter offer fragment,$(FUZZ)),sdp,$(if $(filter config,$(FUZZ)),config))
fuzz: ## Fuzz one target for a while: make fuzz FUZZ=offer SECONDS=600
	@scripts/setup fuzz
	@mkdir -p $(FUZZING)/found/$(FUZZ)
	cd $(FUZZING) && cargo fuzz run --fuzz-dir . --sanitizer none $(or $(FUZZ),$(error FUZZ is one of $(patsubst $(FUZZING)/fuzz_targets/%.rs,%,$(wildcard $(FUZZING)/fuzz_targets/*.rs)))) \
		found/$(FUZZ) corpus/$(FUZZ) -- -max_total_time=$(or $(SECONDS),60) -max_len=8192 \
		-rss_limit_mb=2048 -timeout=20 $(if $(DICTIONARY),-dict=dictionaries/$(DICTIONARY).dict)

screenshots: ## Take the pictures of the pages in docs/ anew
	@scripts/setup test
	cargo nextest run --workspace --locked -E 'test(/^pages::pages_fit/) or test(/^flow::looks::the_panel/)'
	cp $(SHOTS)/bridge-review-desk-dark.png docs/bridge.png
	cp $(SHOTS)/watch-live-desk-light.png docs/watch.png
	cp $(SHOTS)/panel-live-dark.png docs/panel.png
	cp $(SHOTS)/dock-review-dock400-dark.png docs/dock.png

fmt: ## Format the Rust sources
	cargo fmt --all

audit: ## Look for known vulnerabilities in the dependencies (needs the network)
	@scripts/setup lint
	cargo deny check advisories

clean: ## Remove everything built or installed here
	cargo clean
	rm -rf .tools .venv demo $(CLIENTS)/node_modules sfu/web/node_modules
	find $(CLIENTS) scripts -name __pycache__ -type d -exec rm -rf {} +

lint-text:
	$(call step,format and spelling)
	cargo fmt --all --check
	typos

lint-pages:
	$(call step,pages and the browser client)
	npm --prefix sfu/web run --silent check
	sfu/web/node_modules/.bin/tsc -p $(CLIENTS)/jsconfig.json

lint-deps:
	$(call step,dependencies)
	cargo deny --log-level error check bans licenses sources

lint-rust:
	$(call step,clippy)
	cargo clippy --workspace --all-targets --locked -- -D warnings
	$(call step,clippy without the torch feature)
	cargo clippy --workspace --all-targets --locked --no-default-features -- -D warnings

lint-docs:
	$(call step,documentation)
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --locked --no-deps

test-pages:
	$(call step,page tests)
	npm --prefix sfu/web test --silent -- --test-reporter=dot

test-clients:
	$(call step,client tests)
	$(PYTHON) -m unittest discover --start-directory $(CLIENTS)

test-rust:
	$(call step,Rust tests)
	cargo nextest run --workspace --locked
	$(call step,documentation tests)
	cargo test --workspace --locked --doc

# A folder of its own, since the flag changes every crate; unoptimised, since the model is small.
test-loom:
	$(call step,every interleaving of the hand-off between two threads)
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(TARGET)/loom \
		cargo nextest run --config 'profile.dev.package."*".opt-level=0' \
		--locked -p reverie-transcoder --lib latest
