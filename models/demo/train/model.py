"""The demo model's shape: transformers' own LLaVA-OneVision classes, small."""

from __future__ import annotations

import math

import torch
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
    SiglipVisionModel,
)

SIDE = 128
PATCH = 16
GRID = SIDE // PATCH
WIDTH = 256
VISION_LAYERS = 6
TEXT_LAYERS = 3
PINPOINTS = [[SIDE * i, SIDE * j] for i in (1, 2) for j in (1, 2)]
ASPECT = "anyres_max_4"


def vision_config() -> SiglipVisionConfig:
    """SigLIP: 64 tokens a tile. All widths are multiples of 32, q8_0's block."""
    return SiglipVisionConfig(
        hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=VISION_LAYERS,
        num_attention_heads=WIDTH // 64, image_size=SIDE, patch_size=PATCH, vision_use_head=False,
    )


def text_config(vocabulary: int, end: int, start: int) -> Qwen2Config:
    """Qwen2 with grouped-query attention and a tied head."""
    return Qwen2Config(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=2 * WIDTH,
        num_hidden_layers=TEXT_LAYERS, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=4096, tie_word_embeddings=True, rope_theta=10000.0,
        rms_norm_eps=1e-6, bos_token_id=start, eos_token_id=end, pad_token_id=start,
        attention_dropout=0.0, use_sliding_window=False,
    )


def sincos_positions(grid: int, width: int, scale: float) -> torch.Tensor:
    """2-D sine-cosine table [grid^2, width], the initial value of the learned positions (MoCo v3)."""
    omega = 1.0 / 100 ** (torch.arange(width // 4) / (width / 4))
    y, x = torch.meshgrid(torch.arange(grid).float(), torch.arange(grid).float(), indexing="ij")
    ys, xs = y.flatten()[:, None] * omega, x.flatten()[:, None] * omega
    return scale * torch.cat([xs.sin(), xs.cos(), ys.sin(), ys.cos()], 1)


def new_tower() -> SiglipVisionModel:
    """A fresh tower with positions and attention initialised for little data.

    Value and output projections start as minus a scaled product near identity
    (Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers", 2023).
    """
    tower = SiglipVisionModel(vision_config())
    inner = getattr(tower, "vision_model", tower)
    with torch.no_grad():
        inner.embeddings.position_embedding.weight.copy_(sincos_positions(GRID, WIDTH, 0.35))
        for layer in inner.encoder.layers:
            a = layer.self_attn
            noise = torch.randn(WIDTH, WIDTH) / math.sqrt(WIDTH)
            u, s, v = torch.linalg.svd(0.4 * noise - 0.4 * torch.eye(WIDTH))
            a.v_proj.weight.copy_(s.sqrt()[:, None] * v)
            a.out_proj.weight.copy_(u * s.sqrt())
            for head in range(a.num_heads):
                rows = slice(head * a.head_dim, (head + 1) * a.head_dim)
                noise = torch.randn(WIDTH, WIDTH) / math.sqrt(WIDTH)
                u, s, v = torch.linalg.svd(0.7 * noise + 0.7 * torch.eye(WIDTH))
                k = a.head_dim
                a.q_proj.weight[rows] = (u[:, :k] * s[:k].sqrt()).T
                a.k_proj.weight[rows] = s[:k].sqrt()[:, None] * v[:k]
    return tower


def new_model(tokenizer) -> LlavaOnevisionForConditionalGeneration:
    """The whole model with fresh weights for a tokenizer holding Qwen's special tokens."""
    ids = {t: tokenizer.convert_tokens_to_ids(t) for t in ("<|endoftext|>", "<|im_end|>", "<image>", "<video>")}
    vocabulary = math.ceil(len(tokenizer) / 64) * 64
    config = LlavaOnevisionConfig(
        vision_config=vision_config(),
        text_config=text_config(vocabulary, ids["<|im_end|>"], ids["<|endoftext|>"]),
        image_token_index=ids["<image>"], video_token_index=ids["<video>"],
        image_token_id=ids["<image>"], video_token_id=ids["<video>"],
        projector_hidden_act="gelu", vision_feature_select_strategy="full", vision_feature_layer=-1,
        vision_aspect_ratio=ASPECT, image_grid_pinpoints=PINPOINTS, tie_word_embeddings=True,
        multimodal_projector_bias=True,
    )
    model = LlavaOnevisionForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(new_tower().state_dict())
    with torch.no_grad():
        model.model.image_newline.normal_(0, 0.02)
    model.generation_config.eos_token_id = ids["<|im_end|>"]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    return model
