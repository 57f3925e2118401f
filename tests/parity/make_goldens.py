"""Makes the small random checkpoints, the test images and the golden files of this folder.

    python make_goldens.py

Everything is seeded; a second run writes the same files (with the versions in requirements.txt).
"""

import json
import shutil
from pathlib import Path

import numpy
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
)

from reference import default_policy, randomise, stages

HERE = Path(__file__).resolve().parent
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
# Qwen2's pre-tokenisation (transformers/models/qwen2/tokenization_qwen2.py).
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
NARROWEST_MARGIN = 0.02
SHORT_POLICY = "O1: Weapons: \nShould not:\n- Show a gun.\nAnswer in json: {\"rating\": str}\n"

# Width, height.
IMAGES = {"thin": (150, 14), "tall": (40, 100), "square": (64, 64), "tiny": (13, 9), "large": (84, 80)}

# Which images each model is run on, and on which the whole default policy is the prompt.
MODELS = {
    # Tied head, the last layer and the pooling head unused, three pixels of a tile unused.
    "tied": {
        "seed": 1,
        "vision": dict(hidden_size=48, intermediate_size=40, num_hidden_layers=3, num_attention_heads=2,
                       image_size=24, patch_size=7, vision_use_head=True),
        "text": dict(hidden_size=64, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=2, tie_word_embeddings=True),
        "config": dict(vision_feature_layer=-2, vision_aspect_ratio="anyres_max_9"),
        "pinpoints": 6,
        "dtype": torch.float32,
        "save": {},
        "images": ["thin", "tall", "tiny", "large"],
        "whole_policy": ["tall"],
    },
    # Separate head, one head of width 72 in the tower, bf16 in shards, a small grid that pools.
    "untied": {
        "seed": 2,
        "vision": dict(hidden_size=72, intermediate_size=104, num_hidden_layers=2, num_attention_heads=1,
                       image_size=58, patch_size=14, vision_use_head=False),
        "text": dict(hidden_size=80, intermediate_size=72, num_hidden_layers=2, num_attention_heads=5,
                     num_key_value_heads=1, tie_word_embeddings=False),
        "config": dict(vision_feature_layer=-1, vision_aspect_ratio="anyres_max_2"),
        "pinpoints": 3,
        "dtype": torch.bfloat16,
        "save": {"max_shard_size": "200KB"},
        "images": ["thin", "square", "tiny"],
        "whole_policy": ["square"],
    },
    # Widths that fill whole blocks, exact GELU in the tower, a layer counted from the front, f16.
    "blocks": {
        "seed": 3,
        "vision": dict(hidden_size=64, intermediate_size=72, num_hidden_layers=3, num_attention_heads=2,
                       image_size=16, patch_size=7, hidden_act="gelu", vision_use_head=False),
        "text": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=2, tie_word_embeddings=True),
        "config": dict(vision_feature_layer=2, vision_aspect_ratio="anyres_max_1"),
        "pinpoints": 6,
        "dtype": torch.float16,
        "save": {},
        "images": ["tall", "tiny", "large"],
        "whole_policy": [],
    },
}


def make_image(name, width, height):
    """Waves, a bar and noise: sharp and smooth parts in each channel."""
    generator = numpy.random.default_rng(sum(name.encode()))
    y, x = numpy.mgrid[0:height, 0:width].astype(numpy.float64)
    channels = []
    for _ in range(3):
        fx, fy, phase = generator.uniform(0.02, 0.4, 2).tolist() + [generator.uniform(0, 6)]
        wave = 128 + 90 * numpy.sin(fx * x + fy * y + phase)
        wave[height // 3 : height // 2, width // 4 : 3 * width // 4] = generator.uniform(0, 255)
        channels.append(wave + generator.normal(0, 20, wave.shape))
    pixels = numpy.clip(numpy.stack(channels, -1), 0, 255).astype(numpy.uint8)
    path = HERE / "images" / f"{name}.png"
    Image.fromarray(pixels).save(path, optimize=True)


def make_tokenizer():
    """A byte-level BPE with Qwen2's rules, learnt on the policy."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=416,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([default_policy()], trainer)
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIALS])
    return tokenizer


def make_model(name, spec, tokenizer, seed):
    """Saves a random checkpoint by `save_pretrained`, with tokeniser and preprocessor."""
    side = spec["vision"]["image_size"]
    steps = range(1, spec["pinpoints"] + 1)
    pinpoints = [[side * h, side * w] for h in steps for w in steps]
    ids = {token: tokenizer.token_to_id(token) for token in SPECIALS}
    # More rows than tokens, as in the real model.
    vocab = (tokenizer.get_vocab_size() + 63) // 64 * 64
    text = Qwen2Config(
        vocab_size=vocab,
        max_position_embeddings=32768,
        rope_parameters={"rope_theta": 1e6, "rope_type": "default"},
        eos_token_id=ids["<|im_end|>"],
        **spec["text"],
    )
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(**spec["vision"]),
        text_config=text,
        image_token_index=ids["<image>"],
        video_token_index=ids["<video>"],
        image_grid_pinpoints=pinpoints,
        tie_word_embeddings=text.tie_word_embeddings,
        **spec["config"],
    )
    model = LlavaOnevisionForConditionalGeneration(config)
    randomise(model, torch.Generator().manual_seed(seed))
    folder = HERE / "models" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.to(spec["dtype"]).save_pretrained(folder, **spec["save"])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    preprocessor = {
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "do_resize": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True,
        "rescale_factor": 1 / 255, "resample": 3,
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "size": {"height": side, "width": side},
        "image_grid_pinpoints": pinpoints,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def main():
    torch.manual_seed(0)
    for folder in ("models", "images", "goldens"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / folder).mkdir()
    for name, (width, height) in IMAGES.items():
        make_image(name, width, height)
    tokenizer = make_tokenizer()
    for name, spec in MODELS.items():
        make_decided(name, spec, tokenizer)


def make_decided(name, spec, tokenizer):
    """Makes the model from the first seed under which no two tokens are so close in any of its
    goldens that rounding could choose another."""
    for seed in range(spec["seed"], spec["seed"] + 1000, len(MODELS)):
        folder = make_model(name, spec, tokenizer, seed)
        goldens = {}
        for image in spec["images"]:
            policy = None if image in spec["whole_policy"] else SHORT_POLICY
            golden, margin = stages(folder, HERE / "images" / f"{image}.png", policy)
            if margin < NARROWEST_MARGIN:
                break
            goldens[image] = (golden, policy)
        else:
            return save_goldens(name, seed, goldens)
    raise SystemExit(f"{name}: no seed gives clear decisions")


def save_goldens(name, seed, goldens):
    for image, (golden, policy) in goldens.items():
        metadata = {
            "model": name,
            "image": f"{image}.png",
            "policy": "v1.2 default" if policy is None else policy,
            "transformers": transformers.__version__,
        }
        save_file(golden, HERE / "goldens" / f"{name}__{image}.safetensors", metadata)
        shapes = [tuple(tensor.shape) for tensor in golden.values()]
        print(name, f"seed {seed}", image, shapes, golden["greedy_ids"].tolist())


if __name__ == "__main__":
    main()
