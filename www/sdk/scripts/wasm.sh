#!/usr/bin/env bash
# The WebAssembly builds of the engine, each a module with features of its own:
#
#   simd            128-bit SIMD, one thread: for every browser
#   relaxed-single  relaxed SIMD, one thread: for pages that are not cross-origin-isolated
#   relaxed         relaxed SIMD and threads over shared memory: for those that are
#   webgpu          the network on a GPU: where there is one; 128-bit SIMD for the rest
#
# Usage: wasm.sh build|test|clippy [BUILD]...      all builds when none is named
#
#   build   into www/sdk/wasm/<build>/, without the names of functions unless WASM_NAMES is set (for
#           profiles)
#   test    the kernels' tests (tests/wasm.rs of crates/cpu or crates/gpu) and on the GPU the golden
#           models (tests/wasm.rs of crates/guard), in headless Chromium; relaxed-single has relaxed's
#           kernels and is left out unless it is named
#   clippy  with rustup's own standard library, which need not fit the features to be checked against
#
# Expects what tests/lib/setup.sh finds or installs: WASM_CARGO, WASM_RUSTC, WASM_LINKER, WASM_BINDGEN.
# To build and test, the standard library is built too: the one that ships lacks these features.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

features() {
  case $1 in
    simd | webgpu) echo "+simd128" ;;
    relaxed-single) echo "+simd128,+relaxed-simd" ;;
    relaxed) echo "+simd128,+relaxed-simd,+atomics,+bulk-memory,+mutable-globals" ;;
    *) echo "there is no build '$1', only simd, relaxed-single, relaxed and webgpu" >&2 && return 2 ;;
  esac
}

# No path of the building machine ends up in panic messages.
rustflags() {
  local name sysroot
  sysroot=$("$WASM_RUSTC" --print sysroot)
  echo "-C target-feature=$(features "$1")"
  # Loop strength reduction rewrites addresses so that constant offsets no longer fit into loads: one
  # addition a load. Without it the byte dot products run 15 to 20% faster, the f32 kernels 10%.
  echo "-C llvm-args=-disable-lsr"
  echo '--cfg getrandom_backend="wasm_js"'
  echo "--remap-path-prefix=$PWD="
  echo "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
  echo "--remap-path-prefix=$sysroot=rust"
  [[ $1 == relaxed ]] || return 0
  echo "-C link-arg=--shared-memory -C link-arg=--import-memory -C link-arg=--max-memory=4294967296"
  for name in __wasm_init_tls __tls_size __tls_align __tls_base __heap_base; do
    echo "-C link-arg=--export=$name"
  done
}

# The crate whose kernels a build runs.
kernels() { if [[ $1 == webgpu ]]; then echo llavaguard-gpu; else echo llavaguard-cpu; fi; }

# cargo_for BUILD CARGO COMMAND ARGUMENT...: runs a cargo command for one of the builds.
cargo_for() {
  local build=$1 cargo=$2 command=$3
  shift 3
  # The bootstrap switch lets a stable compiler build the standard library.
  RUSTC_BOOTSTRAP=1 RUSTFLAGS=$(rustflags "$build" | tr '\n' ' ') CARGO_TARGET_DIR=$PWD/target/wasm-$build \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=${WASM_LINKER:-rust-lld} \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="node ../../tests/e2e/wasm-test-runner.mjs --$build" \
    "$cargo" "$command" --locked --target wasm32-unknown-unknown "$@"
}

build() {
  local out=www/sdk/wasm/$1 with=() bind=()
  [[ $1 != webgpu ]] || with=(--features webgpu)
  RUSTC=$WASM_RUSTC cargo_for "$1" "$WASM_CARGO" build --profile wasm --package llavaguard-web \
    "${with[@]}" -Zbuild-std=std,panic_abort
  [[ -n ${WASM_NAMES:-} ]] || bind=(--remove-name-section)
  rm -rf "$out"
  "$WASM_BINDGEN" "${bind[@]}" --target web --out-name llavaguard --out-dir "$out" \
    "target/wasm-$1/wasm32-unknown-unknown/wasm/llavaguard_web.wasm"
}

# The models of tests/parity as the tests of crates/guard read them, in target/parity/.
convert_golden_models() {
  local model format
  rm -rf target/parity
  mkdir -p target/parity
  for model in tests/parity/models/*/; do
    model=$(basename "$model")
    for format in f32 f16; do
      cargo run --quiet --locked --package llavaguard -- convert "tests/parity/models/$model" \
        "target/parity/$model-$format.gguf" --quant "$format" >&2
    done
  done
}

run_tests() {
  local packages=(--package "$(kernels "$1")")
  if [[ $1 == webgpu ]]; then
    convert_golden_models
    packages+=(--package llavaguard-guard)
  fi
  RUSTC=$WASM_RUSTC cargo_for "$1" "$WASM_CARGO" test --profile wasm "${packages[@]}" \
    --test wasm -Zbuild-std=std,panic_abort -Zpanic-abort-tests
}

clippy() {
  local with=()
  [[ $1 != webgpu ]] || with=(--package llavaguard-guard --features llavaguard-web/webgpu)
  WASM_RUSTC=rustc cargo_for "$1" cargo clippy --package "$(kernels "$1")" --package llavaguard-web \
    "${with[@]}" --lib --test wasm -- -D warnings
}

action=${1:-}
shift || true
case $action in
  build | clippy) ;;
  test) action=run_tests ;;
  *) sed -n '2,20s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
esac
if (($# == 0)); then
  set -- simd relaxed webgpu
  [[ $action == run_tests ]] || set -- "$@" relaxed-single
fi
for name; do
  features "$name" >/dev/null
  "$action" "$name"
done
