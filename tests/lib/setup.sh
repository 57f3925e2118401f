# What ./run and ./test share: finding or installing what they need, and building what is out of
# date. Sourced by them with the repository's root as working directory.
#
# Every step is skipped when what it makes is there and its inputs have not changed. Nothing is
# installed into the system but what the machine's own package manager installs, and that only where
# rustup or the machine lacks it; all else lies in .tools/, node_modules/ and target/.

TOOLS=$PWD/.tools
PHOTOS=tests/photos
MODEL=models/demo/llavaguard-demo-q8_0.gguf
MANIFEST=models/demo/manifest.json

say() { printf '%s\n' "$*" >&2; }
step() { say "== $*"; }
die() {
  say "error: $*"
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# fingerprint PATH...: a hash over the names and contents of files and of all files in folders.
fingerprint() {
  find "$@" -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -not -path '*/sdk/docs/*' -print0 | sort -z |
    xargs -0 sha256sum | sha256sum | cut -c1-64
}

# once NAME HASH COMMAND...: runs the command unless it has succeeded with this hash before.
once() {
  local stamp=$TOOLS/stamps/$1 hash=$2
  shift 2
  if [[ -f $stamp && $(<"$stamp") == "$hash" ]]; then return; fi
  rm -f "$stamp"
  "$@"
  mkdir -p "$TOOLS/stamps"
  printf '%s' "$hash" >"$stamp"
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif have sudo && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 1
  fi
}

# apt_install PACKAGE...: fails where there is no apt or no right to use it.
apt_install() {
  have apt-get || return 1
  step "installing $* by apt-get"
  as_root apt-get update -qq >&2 || true
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" >&2
}

need_node() {
  have node && have npm || die "Node.js 20.19 or newer is needed, with npm: see https://nodejs.org"
  node -e 'const [a, b] = process.versions.node.split(".").map(Number);
    process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    die "Node.js $(node --version) is too old: 20.19 or newer is needed, see https://nodejs.org"
}

# The toolchain of rust-toolchain.toml, by rustup where there is one.
need_rust() {
  if have rustup && ! rustc --version >/dev/null 2>&1; then
    step "installing the Rust toolchain by rustup"
    rustup toolchain install >&2 || die "rustup could not install the toolchain of rust-toolchain.toml"
  fi
  have cargo || die "Rust is needed: install it by rustup, see https://rustup.rs"
}

has_sources() { [[ -f "$1/lib/rustlib/src/rust/library/Cargo.lock" ]]; }

# A Rust that can build the standard library for wasm32: rustup's with rust-src, else Debian's
# rustc-web with its sources. Sets WASM_CARGO, WASM_RUSTC, WASM_LINKER for wasm.sh.
need_wasm_rust() {
  [[ -z ${WASM_CARGO:-} ]] || return 0
  need_rust
  if ! has_sources "$(rustc --print sysroot)" && ! debian_rust && have rustup; then
    step "adding rust-src by rustup"
    timeout 300 rustup component add rust-src >&2 || say "rustup has no rust-src here"
  fi
  if has_sources "$(rustc --print sysroot)"; then
    export WASM_CARGO=cargo WASM_RUSTC=rustc WASM_LINKER=rust-lld
    return
  fi
  debian_rust || apt_install rustc-web cargo-web rust-web-src lld-19 && debian_rust ||
    die "no Rust for WebAssembly: rustup could not add rust-src, and Debian's rustc-web, cargo-web, rust-web-src and lld-19 could not be installed (that needs apt-get and root or sudo). Install either and run this again"
  export WASM_CARGO=/usr/bin/cargo WASM_RUSTC=/usr/bin/rustc WASM_LINKER=wasm-ld-19
}

debian_rust() { [[ -x /usr/bin/cargo ]] && has_sources /usr && have wasm-ld-19; }

# The version Cargo.lock has: command and library must be the same.
need_wasm_bindgen() {
  local version
  version=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/.*= "|"/, ""); print }' Cargo.lock)
  export WASM_BINDGEN=$TOOLS/bin/wasm-bindgen
  if [[ $("$WASM_BINDGEN" --version 2>/dev/null) == "wasm-bindgen $version" ]]; then return; fi
  need_rust
  step "building wasm-bindgen-cli $version (some minutes, once)"
  # With the versions it was released with, or where a registry lacks one of them, with newer ones.
  local install=(cargo install --quiet wasm-bindgen-cli --version "$version" --root "$TOOLS"
    --target-dir "$TOOLS/build" --force)
  "${install[@]}" --locked >&2 ||
    { say "a locked version is not to be had: taking newer ones" && "${install[@]}" >&2; } ||
    die "wasm-bindgen-cli $version could not be built"
  rm -rf "$TOOLS/build"
}

install_packages() {
  step "installing the Node packages"
  npm ci --prefix www --no-fund --no-audit --loglevel=error >&2
}

need_packages() {
  need_node
  [[ -d www/node_modules ]] || rm -f "$TOOLS/stamps/packages"
  once packages "$(fingerprint www/package-lock.json)" install_packages
}

install_project_tools() {
  step "installing the bundlers of the test projects"
  npm ci --prefix tests/projects --no-fund --no-audit --loglevel=error >&2
}

# What tests/projects and www/examples are built and checked with.
need_project_tools() {
  need_node
  [[ -d tests/projects/node_modules ]] || rm -f "$TOOLS/stamps/projects"
  once projects "$(fingerprint tests/projects/package-lock.json)" install_project_tools
}

install_dawn() {
  step "installing Dawn"
  npm ci --prefix tests/dawn --no-fund --no-audit --ignore-scripts --loglevel=error >&2
}

# Chromium's WebGPU by itself, for shaders that no adapter in software compiles.
need_dawn() {
  need_node
  [[ -d tests/dawn/node_modules ]] || rm -f "$TOOLS/stamps/dawn"
  once dawn "$(fingerprint tests/dawn/package-lock.json)" install_dawn
}

PEERS=tests/bench/peers

install_peers() {
  step "installing the peers"
  npm ci --prefix $PEERS --no-fund --no-audit --ignore-scripts --loglevel=error >&2
}

# What the benchmarks compare with.
need_peers() {
  need_node
  [[ -d $PEERS/node_modules ]] || rm -f "$TOOLS/stamps/bench-peers"
  once bench-peers "$(fingerprint $PEERS/package-lock.json)" install_peers
}

# Sets CHROMIUM to a browser, the caller's own choice first.
need_chromium() {
  local name
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
    if [[ -n $name ]] && have "$name"; then
      CHROMIUM=$(command -v "$name")
      export CHROMIUM
      return
    fi
  done
  apt_install chromium && have chromium ||
    die "no Chromium was found and none could be installed: install Chromium or Chrome, or name one in CHROMIUM"
  CHROMIUM=$(command -v chromium)
  export CHROMIUM
}

# A Vulkan driver for the GPU device's tests: the machine's own, else one in software.
need_vulkan() {
  local folder
  for folder in /usr/share/vulkan/icd.d /usr/local/share/vulkan/icd.d /etc/vulkan/icd.d; do
    if compgen -G "$folder/*.json" >/dev/null && ldconfig -p | grep -q 'libvulkan\.so\.1'; then return; fi
  done
  apt_install mesa-vulkan-drivers libvulkan1 ||
    die "the GPU device's tests need a Vulkan driver, and Debian's mesa-vulkan-drivers and libvulkan1 could not be installed (that needs apt-get and root or sudo). Install a driver and run this again"
}

build_wasm_modules() {
  step "building the WebAssembly modules"
  need_wasm_rust
  need_wasm_bindgen
  bash www/sdk/scripts/wasm.sh build >&2
}

# Rust to www/sdk/wasm/.
build_wasm() {
  local build
  for build in simd relaxed-single relaxed webgpu; do
    [[ -f www/sdk/wasm/$build/llavaguard_bg.wasm ]] || rm -f "$TOOLS/stamps/wasm"
  done
  once wasm "$(fingerprint Cargo.toml Cargo.lock rust-toolchain.toml crates www/sdk/scripts)" \
    build_wasm_modules
}

build_page_files() {
  step "building the package and the page"
  rm -rf www/sdk/dist www/demo/dist
  npm run build --prefix www --loglevel=error >&2
  mkdir -p www/demo/dist/model
  cp "$MODEL" "$MANIFEST" www/demo/dist/model/
}

# The package to www/sdk/dist/, the page with the demo model to www/demo/dist/.
build_page() {
  [[ -f $MODEL ]] || die "the demo model is missing: $MODEL"
  build_wasm
  need_packages
  [[ -f www/demo/dist/index.html && -f www/sdk/dist/index.js ]] || rm -f "$TOOLS/stamps/page"
  once page "$(fingerprint www "$MODEL" "$MANIFEST")" build_page_files
}
