#!/usr/bin/env bash
# Tries the blocks of docs/hosting.md on the hosts they are for: Debian's nginx, Apache and Caddy are
# unpacked into a temporary folder (nothing is installed), started with the very text of the document
# over a small site, and asked for its files.
#
# Usage: tests/hosting/check.sh [nginx|apache|caddy]...      all of them when none is named
#
# Needs apt-get, dpkg-deb, curl and the network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

WORK=$(mktemp -d)
SITE=$WORK/site
PORT=8471
SERVER=
stop() { if [[ -n $SERVER ]]; then kill "$SERVER" 2>/dev/null && wait "$SERVER" || true; fi; SERVER=; }
trap 'stop; rm -rf "$WORK"' EXIT

# block LANGUAGE: the first code block of that language in the document.
block() { awk -v open="\`\`\`$1" '$0 == open { on = 1; next } on && /^```/ { exit } on' docs/hosting.md; }

# unpack PACKAGE...: those of the packages that this Debian has (libraries are named differently in 12
# and 13), without installing them, into $WORK/root.
unpack() {
  local package known=()
  for package; do
    ! apt-cache show "$package" >/dev/null 2>&1 || known+=("$package")
  done
  mkdir -p "$WORK/packages" "$WORK/root"
  (cd "$WORK/packages" && apt-get download -qq "${known[@]}" >/dev/null)
  for package in "$WORK"/packages/*.deb; do dpkg-deb -x "$package" "$WORK/root"; done
  rm -rf "$WORK/packages"
  export LD_LIBRARY_PATH=$WORK/root/usr/lib/$(uname -m)-linux-gnu
}

make_site() {
  mkdir -p "$SITE"
  printf '<!doctype html><title>page</title>' >"$SITE/index.html"
  for name in worker.js worker.mjs; do
    for _ in {1..200}; do echo 'self.postMessage("a worker of some length");'; done >"$SITE/$name"
  done
  head -c 100000 /dev/zero >"$SITE/engine.wasm"
  # It begins as a model does, and would compress well, were it compressed.
  { printf 'GGUF\3\0\0\0' && head -c 999992 /dev/zero; } >"$SITE/model.gguf"
  echo '{}' >"$SITE/manifest.json"
  chmod -R a+rX "$WORK"
}

start_nginx() {
  unpack nginx nginx-common libpcre2-8-0 libssl3 libssl3t64 zlib1g
  local mime=$WORK/root/etc/nginx/mime.types
  cat >"$WORK/nginx.conf" <<TEXT
daemon off; pid $WORK/nginx.pid; error_log $WORK/error.log; user root;
events {}
http {
  access_log off; default_type application/octet-stream;
  client_body_temp_path $WORK/a; proxy_temp_path $WORK/b; fastcgi_temp_path $WORK/c;
  uwsgi_temp_path $WORK/d; scgi_temp_path $WORK/e;
  server {
    listen 127.0.0.1:$PORT; root $SITE;
$(block nginx | sed "s|include mime.types|include $mime|")
  }
}
TEXT
  "$WORK/root/usr/sbin/nginx" -c "$WORK/nginx.conf" -e "$WORK/error.log" &
  SERVER=$!
}

start_apache() {
  unpack apache2-bin libapr1 libapr1t64 libaprutil1 libaprutil1t64 media-types
  local modules=$WORK/root/usr/lib/apache2/modules name
  {
    for name in mpm_event authz_core mime dir headers setenvif filter deflate env; do
      echo "LoadModule ${name}_module $modules/mod_$name.so"
    done
    cat <<TEXT
ServerName localhost
Listen 127.0.0.1:$PORT
PidFile $WORK/apache.pid
ErrorLog $WORK/error.log
TypesConfig $WORK/root/etc/mime.types
DirectoryIndex index.html
DocumentRoot $SITE
Mutex file:$WORK
AddOutputFilterByType DEFLATE text/html text/javascript application/json application/wasm application/octet-stream
$(block apache)
TEXT
  } >"$WORK/apache.conf"
  "$WORK/root/usr/sbin/apache2" -X -f "$WORK/apache.conf" &
  SERVER=$!
}

start_caddy() {
  unpack caddy
  block caddy | sed "s|^example.org|:$PORT|; s|/srv/page|$SITE|" >"$WORK/Caddyfile"
  HOME=$WORK "$WORK/root/usr/bin/caddy" run --config "$WORK/Caddyfile" --adapter caddyfile 2>"$WORK/error.log" &
  SERVER=$!
}

failed=0
# expect WHAT PATTERN TEXT
expect() {
  if grep -qiE "$2" <<<"$3"; then return; fi
  echo "FAILED: $1: no /$2/ in:" && sed 's/^/    /' <<<"$3"
  failed=1
}
# refuse WHAT PATTERN TEXT
refuse() {
  if grep -qiE "$2" <<<"$3"; then
    echo "FAILED: $1: /$2/ in:" && sed 's/^/    /' <<<"$3"
    failed=1
  fi
}
# head_of PATH [ARGUMENT...]: the headers of an answer.
head_of() { curl -sS -o /dev/null -D - "${@:2}" "http://127.0.0.1:$PORT/$1" | tr -d '\r'; }

check() {
  local name answer
  for name in '' worker.js worker.mjs engine.wasm model.gguf manifest.json; do
    answer=$(head_of "$name")
    expect "$1 /$name" '^HTTP/[0-9.]+ 200' "$answer"
    expect "$1 /$name" '^cross-origin-opener-policy: same-origin$' "$answer"
    expect "$1 /$name" '^cross-origin-embedder-policy: require-corp$' "$answer"
  done
  expect "$1 page" '^content-type: text/html' "$(head_of '')"
  for name in worker.js worker.mjs; do
    expect "$1 $name" '^content-type: (text|application)/javascript' "$(head_of "$name")"
  done
  expect "$1 wasm" '^content-type: application/wasm' "$(head_of engine.wasm)"
  expect "$1 wasm" '^content-encoding: (gzip|zstd)' "$(head_of engine.wasm -H 'Accept-Encoding: gzip')"
  answer=$(head_of model.gguf -H 'Accept-Encoding: gzip, zstd' -H 'Range: bytes=10-29')
  expect "$1 range" '^HTTP/[0-9.]+ 206' "$answer"
  expect "$1 range" '^content-range: bytes 10-29/1000000' "$answer"
  refuse "$1 range" '^content-encoding' "$answer"
  answer=$(head_of model.gguf -H 'Accept-Encoding: gzip, zstd')
  refuse "$1 model" '^content-encoding' "$answer"
  expect "$1 model" '^accept-ranges: bytes' "$answer"
  expect "$1 model" '^etag: "' "$answer"
}

make_site
(($#)) || set -- nginx apache caddy
for host in "$@"; do
  rm -rf "$WORK/root"
  "start_$host"
  curl -sS --retry 40 --retry-connrefused --retry-delay 0 --retry-max-time 20 -o /dev/null \
    "http://127.0.0.1:$PORT/" || { cat "$WORK/error.log" 2>/dev/null; exit 1; }
  before=$failed
  check "$host"
  ((failed != before)) || echo "$host: as the document says"
  stop
done
exit "$failed"
