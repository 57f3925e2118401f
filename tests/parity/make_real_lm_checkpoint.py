"""Makes a LLaVA-OneVision checkpoint folder whose language model is a real one, from a GGUF file of a Qwen2
model, and whose tower and projector are random, to measure what quantisation costs trained weights.

    python make_real_lm_checkpoint.py DIR --gguf MODEL.gguf --tokenizer tokenizer.json [--seed 0] [--dither]

The GGUF may be quantised in any way the `gguf` package decodes; the decoded values, saved in f32, are
then the model that all comparisons start from. They still lie on the coarse grid of their format, and
rounding them to another grid can cost more or less than rounding the original weights would:
`--dither` adds to each quantised weight uniform noise as wide as the grid's step, so that they lie
anywhere.

Where output head and token embedding are stored apart although the sizes are those of a model that ties
them, the head is taken for both: quantisers keep it in the finer format. The tokenizer is Qwen2's (see
`make_full_checkpoint.py`).
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy
import torch
from transformers import LlavaOnevisionForConditionalGeneration

from make_full_checkpoint import add_image_tokens, full_config, write_preprocessor
from reference import randomise

# llama.cpp's names of a layer's tensors, and transformers'.
LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_q.bias": "self_attn.q_proj.bias",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_k.bias": "self_attn.k_proj.bias",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_v.bias": "self_attn.v_proj.bias",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
BLOCK = 16


def steps(weights):
    """Widths of the grid in each block of 16: the smallest gap between two of its values.

    A block whose values use only every other point of its grid gets too wide a step, which is rare.
    """
    blocks = numpy.sort(weights.reshape(-1, BLOCK), axis=1)
    gaps = numpy.diff(blocks, axis=1)
    # Equal values differ by rounding at most.
    least = 1e-4 * numpy.abs(blocks).max(axis=1, keepdims=True)
    smallest = numpy.where(gaps > least, gaps, numpy.inf).min(axis=1, keepdims=True)
    return numpy.where(numpy.isfinite(smallest), smallest, 0).astype(numpy.float32)


def language_model(path, random):
    """The GGUF's settings and its tensors under transformers' names of Qwen2's, in f32.

    With a generator `random`, quantised ones are dithered.
    """
    reader = gguf.GGUFReader(path)
    settings = {name: field.contents() for name, field in reader.fields.items()}
    if settings["general.architecture"] != "qwen2":
        raise SystemExit(f"{path} holds {settings['general.architecture']}, not qwen2")
    stored = {}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if random is not None and values.ndim == 2:
            noise = random.random(values.size // BLOCK * BLOCK, dtype=numpy.float32) - 0.5
            values = values + (noise.reshape(-1, BLOCK) * steps(values)).reshape(values.shape)
        stored[tensor.name] = values
    embedding = stored.pop("token_embd.weight")
    named = {
        "embed_tokens.weight": stored.pop("output.weight", embedding),
        "norm.weight": stored.pop("output_norm.weight"),
    }
    for name, values in stored.items():
        _, layer, part = name.split(".", 2)
        named[f"layers.{layer}.{LAYER[part]}"] = values
    return settings, named


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True, help="Qwen2's tokenizer.json")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dither", action="store_true")
    arguments = parser.parse_args()

    random = numpy.random.default_rng(arguments.seed) if arguments.dither else None
    settings, tensors = language_model(arguments.gguf, random)
    config = full_config()
    text = config.text_config
    text.vocab_size = len(tensors["embed_tokens.weight"])
    text.hidden_size = settings["qwen2.embedding_length"]
    text.intermediate_size = settings["qwen2.feed_forward_length"]
    text.num_hidden_layers = settings["qwen2.block_count"]
    text.num_attention_heads = settings["qwen2.attention.head_count"]
    text.num_key_value_heads = settings["qwen2.attention.head_count_kv"]
    text.rms_norm_eps = settings["qwen2.attention.layer_norm_rms_epsilon"]
    text.rope_parameters["rope_theta"] = settings["qwen2.rope.freq_base"]
    text.layer_types = ["full_attention"] * text.num_hidden_layers

    model = LlavaOnevisionForConditionalGeneration(config)
    randomise(model, torch.Generator().manual_seed(arguments.seed))
    own = model.model.language_model
    own.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()})
    model.tie_weights()
    model.save_pretrained(arguments.folder)
    tokenizer = add_image_tokens(json.loads(arguments.tokenizer.read_text(encoding="utf-8")))
    (arguments.folder / "tokenizer.json").write_text(
        json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8"
    )
    write_preprocessor(arguments.folder, config)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}M parameters in {arguments.folder}")


if __name__ == "__main__":
    main()
