.DEFAULT_GOAL := help
.NOTPARALLEL: # the checks of `test` run in this order
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

built := $(or $(CARGO_TARGET_DIR),target)
DEVICE ?= cpu
# Model to use instead of the embedded one: a name, a path, or an id of the hub; imagenet is downloaded first.
MODEL ?=
SIZE ?= 500x375

# ONNX Runtime can send telemetry while it is loaded, before a program can disable it.
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help
help: ## show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: library ## build and start the server; MODEL=imagenet for 1,000 classes; pass options in ARGS="..."
	cargo build --release --locked
	$(if $(filter imagenet,$(MODEL)),scripts/fetch-imagenet --resnetd $(built)/release/resnetd)
	exec $(built)/release/resnetd serve $(if $(MODEL),--model $(MODEL)) $(ARGS)

.PHONY: test
test: fmt lint doc rust-test deny python-test deploy-test ## all checks, stopping at the first failure

.PHONY: bench
bench: library ## compare the server with the machine's limit, and time each stage; ten minutes
	cargo build --release --locked
	scripts/venv .venv-bench benches/requirements.txt
	.venv-bench/bin/python benches/photos.py $(built)/photos
	.venv-bench/bin/python benches/saturation.py --resnetd $(built)/release/resnetd \
		--photos $(built)/photos/$(SIZE) $(ARGS)
	cargo bench --locked --bench stages

.PHONY: bench-overload bench-start bench-turns bench-variants bench-models bench-tracing
bench-overload: ## overload each model at four times its saturation rate; about ten minutes
bench-start: ## time until ready and memory of each model
bench-turns: ## compare int8 models, and kernels for their convolutions, in turns; two minutes
bench-variants: ## compare other allocators, settings and quotas with the defaults; about fifteen minutes
bench-models: ## measure several models in one server: shared cores, reloads, a fallback; six minutes
bench-tracing: ## measure the cost of traces: off, 10 % sampled, all sampled; six minutes
bench-overload bench-start bench-turns bench-variants bench-models bench-tracing: bench-%: library
	cargo build --release --locked
	scripts/venv .venv-bench benches/requirements.txt
	.venv-bench/bin/python benches/photos.py $(built)/photos
	.venv-bench/bin/python benches/$*.py --resnetd $(built)/release/resnetd \
		--photos $(built)/photos/$(SIZE) $(ARGS)

.PHONY: attack
attack: library ## run the known attacks against a release server on this machine; about ten minutes
	cargo build --release --locked
	scripts/venv .venv-bench benches/requirements.txt
	.venv-bench/bin/python tests/attack/attack.py --resnetd $(built)/release/resnetd $(ARGS)

.PHONY: bench-sessions
bench-sessions: library ## time sessions and additional outputs on this machine
	cargo bench --locked --bench sessions

.PHONY: bench-stages
bench-stages: ## time decoding and the other stages; a minute
	scripts/venv .venv-bench benches/requirements.txt
	.venv-bench/bin/python benches/photos.py $(built)/photos
	cargo bench --locked --bench stages -- $(ARGS)

.PHONY: bench-int8
bench-int8: library ## compare resnetd's int8 ResNet-50 with that of ONNX Runtime's quantizer
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
rust-test: library ## run unit, integration and documentation tests
	cargo test --locked

.PHONY: deny
deny: ## check licences, bans and sources of the dependencies, offline
	cargo fetch --locked
	scripts/cargo-deny --offline check licenses bans sources

.PHONY: audit
audit: ## check the dependencies for known vulnerabilities; needs the network
	scripts/cargo-deny check advisories

.PHONY: python-test
python-test: library ## check models, metrics, API, protocols, pages and documentation with other programs
	cargo build --locked --bins --tests # with the tests, to reuse their build
	scripts/venv
	.venv/bin/python tests/python/check_onnx.py --resnetd $(built)/debug/resnetd
	.venv/bin/python tests/python/check_compatibility.py --resnetd $(built)/debug/resnetd
	.venv/bin/python tests/python/check_starter.py --resnetd $(built)/debug/resnetd --dir $(built)/imagenet
	if chromium=$$(scripts/chromium); then .venv/bin/python tests/python/check_page.py \
		--resnetd $(built)/debug/resnetd --chromium "$$chromium" --shots $(built)/page; \
	else echo "page checks skipped: Chromium not found"; fi
	.venv/bin/python tests/python/check_api.py --resnetd $(built)/debug/resnetd
	scripts/check-metrics $(built)/debug/resnetd
	.venv/bin/python tests/python/check_docs.py --resnetd $(built)/debug/resnetd
	scripts/venv .venv-generators tests/python/requirements-generators.txt
	.venv-generators/bin/python tests/python/check_clients.py --resnetd $(built)/debug/resnetd
	scripts/venv .venv-clients tests/python/requirements-clients.txt
	.venv-clients/bin/python tests/python/check_triton.py --resnetd $(built)/debug/resnetd
	.venv-clients/bin/python tests/python/check_kserve.py --resnetd $(built)/debug/resnetd

.PHONY: deploy-test
deploy-test: library ## check the manifests, the chart, the alerts and the dashboard of deploy/
	cargo build --locked --bins --tests
	scripts/venv .venv-deploy tests/python/requirements-deploy.txt
	.venv-deploy/bin/python tests/python/check_deploy.py --resnetd $(built)/debug/resnetd
	.venv-deploy/bin/python tests/python/check_alerts.py --promtool "$$(scripts/prometheus promtool)"
	.venv-deploy/bin/python tests/python/check_dashboard.py --resnetd $(built)/debug/resnetd \
		--prometheus "$$(scripts/prometheus prometheus)"

.PHONY: model-matrix
model-matrix: library ## serve weights and exports in many forms, and compare with PyTorch; half an hour
	cargo build --release --locked
	scripts/venv .venv-models scripts/model-matrix.txt
	.venv-models/bin/python scripts/model-matrix --resnetd $(built)/release/resnetd $(ARGS)

.PHONY: image
image: ## build the container image, for a GPU with DEVICE=cuda, with the starter model with MODEL=imagenet
	docker build --target $(DEVICE) $(if $(MODEL),--build-arg MODEL=$(MODEL)) --tag resnetd:$(DEVICE) $(ARGS) .

.PHONY: image-check
image-check: ## build the images and test them in containers; Debian, as root, with Docker; twenty minutes
	scripts/image-check

.PHONY: compose-check
compose-check: library ## test deploy/compose.yaml under load with failures; Debian, as root, with Docker; ten minutes
	cargo build --release --locked
	scripts/compose-check $(built)/release/resnetd $(ARGS)

.PHONY: clean
clean: ## remove everything that was built or downloaded
	cargo clean
	rm -rf .onnxruntime .models .tools .venv .venv-bench .venv-clients .venv-deploy .venv-generators .venv-image .venv-models .venv-training
