/** LlavaGuard as a page has it: its package, a picture, one assessment. */

const WIDTH = 640;
const HEIGHT = 480;

/**
 * Loads a model and judges a picture at detail `low`, twice.
 *
 * @param {{ model: string, build: 'relaxed' | 'relaxed-single' | 'simd', threads: number, tokens: number }} options
 */
export async function run({ model, build, threads, tokens }) {
  const url = '/www/sdk/dist/index.js';
  /** @type {typeof import('llavaguard')} */
  const { LlavaGuard } = await import(url);
  const start = performance.now();
  const guard = await LlavaGuard.load({ model, build, threads });
  const loaded = performance.now();
  let verdict = NaN;
  const { timings_ms, tokens: counts } = await guard.assess(picture(), {
    detail: 'low',
    rationale: { maxTokens: tokens },
    onVerdict: () => {
      verdict = performance.now() - loaded;
    },
  });
  const whole = performance.now() - loaded;
  // The peers' towers are timed in their second run.
  const again = await guard.assess(picture(), { detail: 'low', rationale: false });
  guard.dispose();
  return {
    version: guard.info.device,
    load: loaded - start,
    tile: again.timings_ms.vision,
    prefill: timings_ms.prefill,
    promptTokens: counts.visual + counts.prompt,
    decode: timings_ms.rationale,
    generated: counts.generated,
    verdict,
    answer: whole,
  };
}

/** A picture with some structure; what it shows does not change the time. */
function picture() {
  const image = new ImageData(WIDTH, HEIGHT);
  for (let at = 0; at < WIDTH * HEIGHT; at++) {
    const [x, y] = [at % WIDTH, Math.floor(at / WIDTH)];
    image.data.set([x & 255, y & 255, (x ^ y) & 255, 255], 4 * at);
  }
  return image;
}
