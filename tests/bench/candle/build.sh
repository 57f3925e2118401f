#!/usr/bin/env bash
# Compiles candle for the browser into tests/bench/candle/pkg/ (candle.js, candle_bg.wasm): 128-bit
# SIMD, one thread. candle has no kernels for relaxed SIMD.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
source tests/lib/setup.sh

CRATE=tests/bench/candle

bindgen_version() { awk '/^name = "wasm-bindgen"$/ { getline; gsub(/.*= "|"/, ""); print }' "$1"; }

[[ $(bindgen_version Cargo.lock) == "$(bindgen_version $CRATE/Cargo.lock)" ]] ||
  die "$CRATE/Cargo.lock has another wasm-bindgen than Cargo.lock: set it in $CRATE/Cargo.toml to $(bindgen_version Cargo.lock) and run cargo update there"

build() {
  need_wasm_rust
  need_wasm_bindgen
  step "compiling candle for the browser (some minutes, once)"
  # No path of the building machine ends up in panic messages. The bootstrap switch lets a stable
  # compiler build the standard library.
  local flags="-C target-feature=+simd128 --cfg getrandom_backend=\"wasm_js\"
    --remap-path-prefix=$PWD= --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo
    --remap-path-prefix=$("$WASM_RUSTC" --print sysroot)=rust"
  RUSTC_BOOTSTRAP=1 RUSTC=$WASM_RUSTC RUSTFLAGS=$flags \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$WASM_LINKER \
    "$WASM_CARGO" build --release --lib --locked --manifest-path $CRATE/Cargo.toml \
    --target-dir target/bench-candle-wasm --target wasm32-unknown-unknown \
    -Zbuild-std=std,panic_abort >&2
  rm -rf $CRATE/pkg
  "$WASM_BINDGEN" --target web --out-name candle --out-dir $CRATE/pkg \
    target/bench-candle-wasm/wasm32-unknown-unknown/release/bench_candle.wasm
}

[[ -f $CRATE/pkg/candle_bg.wasm ]] || rm -f "$TOOLS/stamps/bench-candle"
once bench-candle "$(fingerprint $CRATE/Cargo.toml $CRATE/Cargo.lock $CRATE/src $CRATE/build.sh)" build
