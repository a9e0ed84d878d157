# Everything a developer does here. `make run` and `make test` share the dev profile (docs/decisions/0001), so that RocksDB is
# compiled once for both; `bench` and `release` compile it once more, with the release profile.

SHELL := /bin/bash
# Where rustup puts cargo, for shells that have not been told yet.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
export RUST_BACKTRACE ?= 1

# What scripts/setup installs for tests (promtool, vips, rclone, rsync) and this user can use (loop devices, FUSE): a test that does not find it fails. Elsewhere
# tests say what they leave out.
ifneq ($(shell command -v apt-get),)
export HALIDOM_TEST_REQUIRES ?= promtool vips rclone rsync $(shell [ "$$(id -u)" -eq 0 ] && losetup -f >/dev/null 2>&1 && echo loop) $(shell [ "$$(id -u)" -eq 0 ] && [ -c /dev/fuse ] && echo fuse)
endif

# A collection of image files of every class, kept beside a checkout; tests that read it say so and pass without it.
ifneq ($(wildcard ../shared/corpus/MANIFEST.tsv),)
export HALIDOM_CORPUS ?= $(abspath ../shared/corpus)
endif

# The test image of the IIIF validators, likewise: scripts/check-iiif.
ifneq ($(wildcard ../shared/iiif/*.png),)
export HALIDOM_IIIF_IMAGE ?= $(abspath $(firstword $(wildcard ../shared/iiif/*.png)))
endif

.DEFAULT_GOAL := help
.PHONY: help setup run test test-long fuzz lint fmt bench bench-peers release doc

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: ## install what is missing to build
	@scripts/setup build

run: setup ## build, start a server on 127.0.0.1:8420, upload the fixture album, print a URL, stay up
	@scripts/run

test: ## install what is missing and run every test
	@scripts/setup build test
	cargo test --locked

test-long: ## the tests that take machines and patience: power cuts and a filer in QEMU, long kill rounds, the IIIF validators, other people's clients, fuzzing
	@scripts/setup build test test-long fuzz
	HALIDOM_TEST_LONG=1 cargo test --locked
	scripts/check-iiif
	scripts/check-clients
	scripts/fuzz 60

fuzz: ## every fuzz target for a minute; scripts/fuzz takes other times, and names of targets
	@scripts/setup build fuzz
	scripts/fuzz

lint: setup ## formatting and clippy, warnings denied; cargo deny where it is installed
	cargo fmt --all -- --check
	cargo clippy --locked --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; \
	else echo "left out: cargo deny check (cargo-deny is not installed); 'make test' looks at licences without it"; fi

fmt: ## format the code
	cargo fmt --all

bench: setup ## the benchmarks of benches/
	cargo bench --locked

bench-peers: ## the same work on the same disk: Halidom, a minimal program, SeaweedFS, Garage, rclone, nginx, libvips, thumbor
	@scripts/setup build bench-peers
	scripts/bench-peers

release: setup ## an optimised binary: target/release/halidom
	cargo build --locked --release --bin halidom

doc: setup ## the documentation of the code: target/doc/halidom/index.html
	cargo doc --locked --no-deps --document-private-items
