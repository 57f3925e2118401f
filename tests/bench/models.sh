# Random models of LlavaGuard 0.5B's sizes for the benchmarks, in target/bench/. Sourced behind
# tests/lib/setup.sh with the formats as argument: models.sh q4_0,q8_0

synth() {
  step "making a model in $1"
  cargo build --release --locked --package llavaguard >&2
  target/release/llavaguard synth "target/bench/random-0.5b-$1.gguf" --config 0.5b --quant "$1" --force >&2
}

mkdir -p target/bench
for format in ${1//,/ }; do
  [[ -f target/bench/random-0.5b-$format.gguf ]] || rm -f "$TOOLS/stamps/bench-$format"
  once "bench-$format" "$(fingerprint crates/model/src crates/backend/src)" synth "$format"
done
