/** wllama: llama.cpp in WebAssembly, over a language model of the same sizes. It reads no pictures of this kind. */

const PACKAGE = '/tests/bench/peers/node_modules/@wllama/wllama/esm';
/** One token each, in Qwen2's vocabulary. */
const WORD = ' the';
/**
 * It reads a third of the prompt only, which takes a minute already, and three times that counts. It
 * gains by it: later tokens have more before them to attend to.
 */
const PART = 3;

/**
 * @param {{ model: string, threads: number, prompt: number, tokens: number }} options
 */
export async function run({ model, threads, prompt, tokens }) {
  const { Wllama, LoggerWithoutDebug } = await import(`${PACKAGE}/index.js`);
  const quiet = { ...LoggerWithoutDebug, log: () => undefined };
  const wllama = new Wllama(
    { default: `${PACKAGE}/wasm/wllama.wasm` },
    { logger: quiet, suppressNativeLog: true },
  );
  const start = performance.now();
  const file = await fetch(model).then((response) => response.blob());
  await wllama.loadModel([file], {
    n_ctx: 4096,
    n_threads: threads,
    n_gpu_layers: 0,
    n_batch: 512,
  });
  const load = performance.now() - start;
  const { timings } = await wllama.createCompletion({
    prompt: WORD.repeat(Math.ceil(prompt / PART)),
    max_tokens: tokens,
    temperature: 0,
    ignore_eos: true,
  });
  const version = Wllama.getLibllamaVersion();
  if (wllama.getNumThreads() !== threads)
    throw new Error(`wllama took ${wllama.getNumThreads()} threads`);
  await wllama.exit();
  if (!timings) throw new Error('wllama told no timings');
  return {
    version,
    load,
    promptTokens: timings.prompt_n,
    generated: timings.predicted_n,
    prefill: (timings.prompt_ms / timings.prompt_n) * prompt,
    decode: (timings.predicted_ms / timings.predicted_n) * tokens,
  };
}
