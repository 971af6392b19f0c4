#!/usr/bin/env bash
# What takes long, besides `cargo test --workspace`: origins that fail for minutes, the cache in full size, benchmarks, the release
# build, the container image.
# docs/testing.md says when to run it. Stops at the first failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

started=$SECONDS
step() {
    printf '\n== %s +%ds  %s\n' "$(date -u +%H:%M:%SZ)" "$((SECONDS - started))" "$*"
}

step "everything a change must pass"
.ci/run

step "origins that flap for a minute, under load, and all that can go wrong at once"
LEEWARD_TEST_FOR=60s cargo test --locked -p leeward-tests --test edge -- --nocapture --test-threads=1 \
    scenarios::backup::flapping scenarios::backup::everything_at_once

step "benchmarks: decisions of 10, 1,000 and 10,000 rules; a hit and a purge in the store; requests through the whole edge"
# Before the release build: what they are built for stands where that goes.
cargo bench --locked -p leeward-rules
cargo bench --locked -p leeward-cache --bench hit --bench purge
cargo bench --locked -p leeward --bench requests

step "the WAF: every printable byte and every pair of two, repeated, stays cheap; what an inspection costs"
LEEWARD_TEST_FULL=1 cargo test --release --locked -p leeward-waf --test core -- --nocapture --test-threads=1 hostile:: cost::

step "release build"
cargo build --release --locked -p leeward
ls -l target/release/leeward
target/release/leeward --version

step "the shipped configurations, with the release build"
for file in conf/*.yaml conf/examples/*.yaml; do
    [[ -e $file ]] || continue
    target/release/leeward check "$file"
done

step "the cache in full size: crashes, damage, failing disks, a million objects, fills of 4 GB"
# What is timed and weighed is the release build. A million objects on disk take some 6 GB of TMPDIR and a minute or more to remove,
# the fills 9 GB.
LEEWARD_BIN="$PWD/target/release/leeward" LEEWARD_TEST_FULL=1 LEEWARD_TEST_KILLS="${LEEWARD_TEST_KILLS:-50}" \
    cargo test --locked -p leeward-tests --test edge -- --nocapture --test-threads=1 \
    disk:: memory:: purging:: readers:: variants::

step "the WAF: hits beside hostile bodies, verdicts that are remembered"
LEEWARD_BIN="$PWD/target/release/leeward" LEEWARD_TEST_FULL=1 \
    cargo test --locked -p leeward-tests --test edge -- --nocapture --test-threads=1 waf::hostile

step "half an hour of everything at once, and an overload"
LEEWARD_BIN="$PWD/target/release/leeward" LEEWARD_TEST_FULL=1 \
    cargo test --locked -p leeward-tests --test edge -- --nocapture --test-threads=1 soak:: overload:: clock::

step "container image"
if docker version >/dev/null 2>&1; then
    docker build --file docker/Dockerfile --tag leeward:test .
    docker run --rm leeward:test --version
    docker image inspect --format 'image: {{.Size}} bytes, user {{.Config.User}}' leeward:test
else
    echo "not built: no container engine answers"
fi

step "passed"
