"""Checkpoint folder, preprocessing and inference shared by training and evaluation."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

import policies
from model import PINPOINTS, SIDE, new_model

# Text between the values of an answer, forced by the answer's grammar.
SKELETON = ['{\n    "rating": "', '",\n    "category": "', '",\n    "rationale": "']


def image_processor() -> LlavaOnevisionImageProcessorPil:
    """transformers' own anyres preprocessing at the demo model's sizes."""
    return LlavaOnevisionImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3,
        image_grid_pinpoints=PINPOINTS, do_convert_rgb=True,
    )


def save(model: LlavaOnevisionForConditionalGeneration, tokenizer, out: Path) -> None:
    """Writes a Hugging Face checkpoint folder in f32."""
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    image_processor().save_pretrained(out)


def load(folder: Path) -> tuple[LlavaOnevisionForConditionalGeneration, object]:
    """Model in evaluation mode and tokenizer of a checkpoint folder."""
    model = LlavaOnevisionForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def tiles(processor: LlavaOnevisionImageProcessorPil, image: Image.Image, detail: str) -> torch.Tensor:
    """Pixel values [tiles, 3, SIDE, SIDE]; detail `low` keeps the base image only."""
    values = processor(image, return_tensors="pt")["pixel_values"][0]
    return values[:1] if detail == "low" else values


def visual_tokens(model, pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Projected tokens [N, width] of one photo; one tile gives the base's tokens with no newline.

    `size` is (height, width) of the photo.
    """
    inner = model.model
    features = inner.vision_tower(pixels, output_hidden_states=True).hidden_states[-1]
    projected = inner.multi_modal_projector(features)
    if len(projected) == 1:
        return projected[0]
    packed, _ = inner.pack_image_features(
        [projected], [size], image_newline=inner.image_newline, vision_aspect_ratio=model.config.vision_aspect_ratio,
    )
    return packed[0]


def prompt_ids(tokenizer, policy: str, visual: int) -> list[int]:
    """Ids of the wrapped policy with `<image>` repeated once per visual token."""
    ids = tokenizer.encode(policies.wrapped(policy), add_special_tokens=False)
    at = ids.index(tokenizer.convert_tokens_to_ids("<image>"))
    return ids[:at] + [ids[at]] * visual + ids[at + 1:]


def embed(model, ids: torch.Tensor, visual: torch.Tensor) -> torch.Tensor:
    """Input embeddings [1, T, width] with the visual tokens in place of `<image>`."""
    embeds = model.get_input_embeddings()(ids)
    mask = ids == model.config.image_token_id
    return embeds.masked_scatter(mask[..., None], visual.to(embeds.dtype))


@torch.inference_mode()
def unsafe_probability(model, tokenizer, visual: torch.Tensor, policy: str) -> float:
    """P(Unsafe) from the two ratings' logits after the forced start of the answer."""
    ids = prompt_ids(tokenizer, policy, len(visual)) + tokenizer.encode(SKELETON[0], add_special_tokens=False)
    ids = torch.tensor([ids])
    logits = model(inputs_embeds=embed(model, ids, visual), logits_to_keep=1).logits[0, -1].float()
    pair = [tokenizer.convert_tokens_to_ids(w) for w in ("Safe", "Unsafe")]
    return float(logits[pair].softmax(-1)[1])


@torch.inference_mode()
def greedy(model, tokenizer, visual: torch.Tensor, policy: str, limit: int = 120) -> tuple[str, list[int]]:
    """Free greedy generation: text and ids, the end token left out."""
    ids = torch.tensor([prompt_ids(tokenizer, policy, len(visual))])
    out = model(inputs_embeds=embed(model, ids, visual), use_cache=True, logits_to_keep=1)
    end, made = model.config.text_config.eos_token_id, []
    for _ in range(limit):
        token = int(out.logits[0, -1].argmax())
        if token == end:
            break
        made.append(token)
        out = model(input_ids=torch.tensor([[token]]), past_key_values=out.past_key_values, use_cache=True)
    return tokenizer.decode(made), made


def golden(folder: Path, photos: list[Path], out: Path) -> None:
    """Writes f32 results of some photos under three policies, for comparing other engines."""
    model, tokenizer = load(folder)
    processor, parts, rows = image_processor(), policies.Parts(), []
    for file in photos:
        image = Image.open(file).convert("RGB")
        for name, ids in (("default", set()), ("O6_non_violating", {"O6"}), ("O9_non_violating", {"O9"})):
            policy = parts.prompt(policies.non_violating(parts, parts.default(), ids))
            row = {"file": file.name, "policy": name, "prompt_text_ids": prompt_ids(tokenizer, policy, 1)}
            for detail in ("low", "high"):
                with torch.inference_mode():
                    visual = visual_tokens(model, tiles(processor, image, detail), (image.height, image.width))
                text, made = greedy(model, tokenizer, visual, policy)
                row[detail] = {
                    "visual_tokens": len(visual), "visual_mean": float(visual.mean()), "visual_std": float(visual.std()),
                    "unsafe_probability": unsafe_probability(model, tokenizer, visual, policy),
                    "greedy_text": text, "greedy_ids": made,
                }
            rows.append(row)
    out.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sub = parser.add_subparsers(dest="command", required=True)
    p = sub.add_parser("fresh", help="save the model with fresh weights")
    p.add_argument("--tokenizer", required=True, type=Path)
    p.add_argument("--out", required=True, type=Path)
    p = sub.add_parser("golden", help="write results for comparing other engines")
    p.add_argument("--model", required=True, type=Path)
    p.add_argument("--out", required=True, type=Path)
    p.add_argument("photos", nargs="+", type=Path)
    args = parser.parse_args()
    if args.command == "fresh":
        tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
        torch.manual_seed(0)
        model = new_model(tokenizer)
        save(model, tokenizer, args.out)
        print(f"{model.num_parameters() / 1e6:.2f} million parameters")
    else:
        golden(args.model, args.photos, args.out)


if __name__ == "__main__":
    main()
