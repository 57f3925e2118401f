set -eu
esbuild main=src/main.js llavaguard-worker=llavaguard/worker.js \
  --bundle --splitting --minify --format=esm --target=es2022 --outdir=dist
cp index.html dist/
cp -r node_modules/llavaguard/wasm dist/
mkdir -p dist/model
cp node_modules/llavaguard-demo-model/manifest.json node_modules/llavaguard-demo-model/*.gguf dist/model/
