#!/usr/bin/env bash
# Builds the package's WebAssembly modules into www/sdk/wasm/<flavour>/.
#
#   simd     128-bit SIMD, one thread: for every page
#   relaxed  relaxed SIMD and threads over shared memory: for cross-origin-isolated pages
#
# Usage: build-wasm.sh [simd|relaxed]...        both when none is named
# Expects what tests/lib/setup.sh finds or installs: WASM_CARGO, WASM_RUSTC, WASM_LINKER, WASM_BINDGEN.
# The standard library is built too, because the one that ships is compiled without these features.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

: "${WASM_CARGO:?}" "${WASM_RUSTC:?}" "${WASM_BINDGEN:?}"

features() {
  case $1 in
    simd) echo "+simd128" ;;
    relaxed) echo "+simd128,+relaxed-simd,+atomics,+bulk-memory,+mutable-globals" ;;
    *) echo "unknown flavour '$1': simd or relaxed" >&2; return 2 ;;
  esac
}

# No path of the building machine ends up in panic messages.
rustflags() {
  local sysroot
  sysroot=$("$WASM_RUSTC" --print sysroot)
  echo "-C target-feature=$(features "$1")" \
    '--cfg getrandom_backend="wasm_js"' \
    "--remap-path-prefix=$PWD=" \
    "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo" \
    "--remap-path-prefix=$sysroot=rust"
  if [[ $1 == relaxed ]]; then
    local name
    echo "-C link-arg=--shared-memory -C link-arg=--import-memory -C link-arg=--max-memory=4294967296"
    for name in __wasm_init_tls __tls_size __tls_align __tls_base __heap_base; do
      echo "-C link-arg=--export=$name"
    done
  fi
}

build() {
  local flavour=$1 target="$PWD/target/wasm-$1" out="www/sdk/wasm/$1"
  features "$flavour" >/dev/null
  RUSTC_BOOTSTRAP=1 RUSTC=$WASM_RUSTC RUSTFLAGS=$(rustflags "$flavour" | tr '\n' ' ') \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=${WASM_LINKER:-rust-lld} CARGO_TARGET_DIR=$target \
    $WASM_CARGO build --profile wasm --package llavaguard-web \
    --target wasm32-unknown-unknown -Zbuild-std=std,panic_abort
  rm -rf "$out"
  "$WASM_BINDGEN" --target web --out-name llavaguard --out-dir "$out" \
    "$target/wasm32-unknown-unknown/wasm/llavaguard_web.wasm"
}

(($#)) || set -- simd relaxed
for flavour; do build "$flavour"; done
