"""The stages of LlavaGuard's network, computed by transformers in f32.

Stages, as in the files `llavaguard trace` writes:

    pixel_values     [tiles, 3, S, S]         normalised tiles, the base image first
    vision_features  [tiles, n, width]        output of the tower's chosen layer, no layer norm after it
    projected        [tiles, n, lm width]     output of the projector
    visual_tokens    [N, lm width]            un-padded, pooled, with newlines, as the language model gets them
    prompt_ids       [T]                      token ids, the image token standing once for all N
    logits           [vocab]                  after the prompt
    greedy_ids       [10]                     what follows greedily, end tokens not heeded
"""

import json
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoConfig, LlavaOnevisionForConditionalGeneration
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

STAGES = [
    "pixel_values",
    "vision_features",
    "projected",
    "visual_tokens",
    "prompt_ids",
    "logits",
    "greedy_ids",
]
GREEDY_TOKENS = 10
REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_POLICY = REPOSITORY / "crates/policy/data/llavaguard-v1.2-prompt.txt"


def default_policy():
    """The v1.2 prompt without its `<image>` line."""
    text = DEFAULT_POLICY.read_text(encoding="utf-8")
    return text.replace("<image>\n", "").replace("\n<image>", "")


def training_prompt(policy):
    """LLaVA-NeXT's conversation `qwen_1_5`, the image moved to the front of the user's turn."""
    return (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n<image>\n{policy.strip()}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def load_checkpoint(folder):
    """The model in f32, whatever the folder stores, and its image processor."""
    model = LlavaOnevisionForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), load_processor(folder)


def load_processor(folder):
    """transformers' processor without torchvision, which resizes as Pillow does."""
    settings = json.loads((Path(folder) / "preprocessor_config.json").read_text())
    known = ["image_mean", "image_std", "size", "image_grid_pinpoints", "resample"]
    return LlavaOnevisionImageProcessorPil(**{k: settings[k] for k in known if k in settings})


def check_processor(folder):
    """Model and processor must agree on the resolutions, or tiles and packing differ."""
    config = AutoConfig.from_pretrained(folder)
    processor = load_processor(folder)
    assert [list(p) for p in processor.image_grid_pinpoints] == [
        list(p) for p in config.image_grid_pinpoints
    ], "image_grid_pinpoints of model and processor differ"


def capture(module, store, key):
    """Keeps a module's output under `key`."""

    def hook(_module, _inputs, output):
        store[key] = (output[0] if isinstance(output, tuple) else output).detach()

    return module.register_forward_hook(hook)


@torch.no_grad()
def stages(folder, image_path, policy=None, model_and_processor=None):
    """All stages for one image and one policy text."""
    folder = Path(folder)
    check_processor(folder)
    model, processor = model_and_processor or load_checkpoint(folder)
    image = Image.open(image_path).convert("RGB")
    inputs = processor(images=image, return_tensors="pt")
    pixels = inputs["pixel_values"][0].to(torch.float32)

    layers = model.model.vision_tower.encoder.layers
    chosen = model.config.vision_feature_layer
    index = (len(layers) + 1 + chosen if chosen < 0 else chosen) - 1
    kept = {}
    hooks = [
        capture(layers[index], kept, "vision_features"),
        capture(model.model.multi_modal_projector, kept, "projected"),
    ]
    features = model.model.get_image_features(
        pixels[None], inputs["image_sizes"], return_dict=True
    ).pooler_output
    for hook in hooks:
        hook.remove()
    visual = features[0]

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = training_prompt(default_policy() if policy is None else policy)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    image_token = model.config.image_token_id
    assert ids.count(image_token) == 1, "the prompt must hold exactly one image token"
    at = ids.index(image_token)
    expanded = ids[:at] + [image_token] * len(visual) + ids[at + 1 :]

    logits, greedy, margin = continue_greedily(model, torch.tensor([expanded]), inputs, pixels)
    result = {
        "pixel_values": pixels,
        "vision_features": kept["vision_features"],
        "projected": kept["projected"],
        "visual_tokens": visual,
        "prompt_ids": torch.tensor(ids),
        "logits": logits,
        "greedy_ids": torch.tensor(greedy),
    }
    return {name: tensor.contiguous() for name, tensor in result.items()}, margin


def continue_greedily(model, ids, inputs, pixels):
    """Logits after the prompt, the tokens that follow, and the narrowest lead a chosen one had."""
    output = model(
        input_ids=ids,
        pixel_values=pixels[None],
        image_sizes=inputs["image_sizes"],
        use_cache=True,
        logits_to_keep=1,
    )
    first = last = output.logits[0, -1]
    greedy, margin = [], float("inf")
    while True:
        best, second = torch.topk(last, 2).values
        margin = min(margin, float(best - second))
        greedy.append(int(last.argmax()))
        if len(greedy) == GREEDY_TOKENS:
            return first, greedy, margin
        output = model(
            input_ids=torch.tensor([greedy[-1:]]),
            past_key_values=output.past_key_values,
            use_cache=True,
        )
        last = output.logits[0, -1]


def read_stages(path):
    """The stages in a safetensors file."""
    return load_file(str(path))


@torch.no_grad()
def randomise(model, generator):
    """Random weights under which every part matters: activations stay near one through all layers,
    attention is neither uniform nor one-hot, and logits are far enough apart to choose from."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
        if parameter.dim() == 1:
            is_gain = name.endswith("weight")
            values = 1 + 0.2 * noise if is_gain else (0.5 if "newline" in name else 0.1) * noise
        elif "embed_tokens" in name:
            values = 0.3 * noise
        elif "position_embedding" in name:
            values = 0.3 * noise
        else:
            fan_in = parameter[0].numel()
            # Blocks that outweigh the embedding keep a tied head from repeating its input.
            strong = ("q_proj", "k_proj", "o_proj", "down_proj")
            gain = 1.5 if any(part in name for part in strong) else 1.0
            values = gain * noise / fan_in**0.5
        parameter.copy_(values.to(parameter.dtype))
