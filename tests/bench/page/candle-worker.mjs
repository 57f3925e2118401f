/**
 * candle compiled to WebAssembly (`../candle`). It is timed with few layers and with some more, and
 * what a layer more costs is added for those that are missing: whole models would take minutes.
 */

import * as candle from '/tests/bench/candle/pkg/candle.js';

import { answer } from './call.mjs';

const [FEW, MORE] = [2, 6];

/**
 * @typedef {{ quant: string, towerLayers: number, decoderLayers: number, prompt: number,
 *   tokens: number }} Job
 */

answer(async (/** @type {Job} */ { quant, towerLayers, decoderLayers, prompt, tokens }) => {
  await candle.default();
  const tile = [FEW, MORE].map((layers) => candle.siglip_tile_ms(layers, quant));
  const language = [FEW, MORE].map((layers) => ({
    prefill: candle.qwen2_prefill_ms(prompt, layers, quant),
    decode: candle.qwen2_decode_ms(prompt, tokens, layers, quant),
  }));
  return {
    version: candle.candle_version(),
    tile: whole(tile, towerLayers),
    prefill: whole(
      language.map(({ prefill }) => prefill),
      decoderLayers,
    ),
    decode: whole(
      language.map(({ decode }) => decode),
      decoderLayers,
    ),
  };
});

/**
 * @param {number[]} times with FEW and with MORE layers
 * @param {number} layers
 */
function whole([few = NaN, more = NaN], layers) {
  return few + ((more - few) / (MORE - FEW)) * (layers - FEW);
}
