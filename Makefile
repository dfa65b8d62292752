.DEFAULT_GOAL := help
.NOTPARALLEL: # the steps of `test` run in the order written
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

built := $(or $(CARGO_TARGET_DIR),target)
DEVICE ?= cpu
SIZE ?= 500x375

# ONNX Runtime reports to its maker while it is loaded, before a program can object.
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: library ## build and start the server; its options go into ARGS="..."
	cargo build --release --locked
	exec $(built)/release/resnetd serve $(ARGS)

.PHONY: test
test: fmt lint doc rust-test deny python-test ## everything that must pass, stopping at the first failure

.PHONY: bench
bench: library ## how much of the machine's limit the server reaches, and what each stage takes; ten minutes
	cargo build --release --locked
	scripts/venv .venv-bench benches/requirements.txt
	.venv-bench/bin/python benches/photos.py $(built)/photos
	.venv-bench/bin/python benches/saturation.py --resnetd $(built)/release/resnetd \
		--photos $(built)/photos/$(SIZE) $(ARGS)
	cargo bench --locked --bench stages

.PHONY: bench-overload bench-start bench-variants
bench-overload: ## offer four times what the machine can do, for a minute each; about ten minutes
bench-start: ## time to ready and memory of each model
bench-variants: ## other allocators, plans and quotas, against the server as it comes; about fifteen minutes
bench-overload bench-start bench-variants: bench-%: library
	cargo build --release --locked
	scripts/venv .venv-bench benches/requirements.txt
	.venv-bench/bin/python benches/photos.py $(built)/photos
	.venv-bench/bin/python benches/$*.py --resnetd $(built)/release/resnetd \
		--photos $(built)/photos/$(SIZE) $(ARGS)

.PHONY: attack
attack: library ## attack a release server on this machine in every known way; about ten minutes
	cargo build --release --locked
	scripts/venv .venv-bench benches/requirements.txt
	.venv-bench/bin/python tests/attack/attack.py --resnetd $(built)/release/resnetd $(ARGS)

.PHONY: bench-sessions
bench-sessions: library ## print what sessions and outputs cost on this machine
	cargo bench --locked --bench sessions

.PHONY: bench-stages
bench-stages: ## print what decoding and the other stages cost; a minute
	scripts/venv .venv-bench benches/requirements.txt
	.venv-bench/bin/python benches/photos.py $(built)/photos
	cargo bench --locked --bench stages -- $(ARGS)

.PHONY: bench-int8
bench-int8: library ## time our int8 ResNet-50 against the one of ONNX Runtime's quantizer
	cargo build --release --locked
	scripts/venv .venv-bench benches/requirements.txt
	.venv-bench/bin/python benches/quantizers.py --resnetd $(built)/release/resnetd

.PHONY: library
library: ## fetch ONNX Runtime into .onnxruntime
	scripts/fetch-onnxruntime

.PHONY: fmt
fmt: ## check the formatting
	cargo fmt --check

.PHONY: lint
lint: ## clippy, warnings are errors
	cargo clippy --locked --all-targets -- -D warnings

.PHONY: doc
doc: ## build the documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

.PHONY: rust-test
rust-test: library ## unit, integration and documentation tests
	cargo test --locked

.PHONY: deny
deny: ## licences, bans and sources of the dependencies, offline
	cargo fetch --locked
	scripts/cargo-deny --offline check licenses bans sources

.PHONY: audit
audit: ## known advisories against the dependencies; asks the advisory database over the network
	scripts/cargo-deny check advisories

.PHONY: python-test
python-test: library ## models, metrics, API, protocols and pages, read by other people's programs
	cargo build --locked --bins --tests # with the tests, so that nothing is compiled twice
	scripts/venv
	.venv/bin/python tests/python/check_onnx.py --resnetd $(built)/debug/resnetd
	.venv/bin/python tests/python/check_shapes.py --resnetd $(built)/debug/resnetd
	if chromium=$$(scripts/chromium); then .venv/bin/python tests/python/check_page.py \
		--resnetd $(built)/debug/resnetd --chromium "$$chromium" --shots $(built)/page; \
	else echo "nobody looked at the page: there is no Chromium"; fi
	.venv/bin/python tests/python/check_api.py --resnetd $(built)/debug/resnetd
	scripts/check-metrics $(built)/debug/resnetd
	scripts/venv .venv-clients tests/python/requirements-clients.txt
	.venv-clients/bin/python tests/python/check_triton.py --resnetd $(built)/debug/resnetd
	.venv-clients/bin/python tests/python/check_kserve.py --resnetd $(built)/debug/resnetd

.PHONY: model-matrix
model-matrix: library ## weights and exports as people have them, served and compared with PyTorch; half an hour
	cargo build --release --locked
	scripts/venv .venv-models scripts/model-matrix.txt
	.venv-models/bin/python scripts/model-matrix --resnetd $(built)/release/resnetd $(ARGS)

.PHONY: image
image: ## build the container image for the CPU, or with DEVICE=cuda for the GPU
	docker build --target $(DEVICE) --tag resnetd:$(DEVICE) .

.PHONY: image-check
image-check: ## build the image without Docker, start it and look at it; Debian, as root
	scripts/image-check

.PHONY: clean
clean: ## remove everything that was built or fetched
	cargo clean
	rm -rf .onnxruntime .tools .venv .venv-bench .venv-clients .venv-models
