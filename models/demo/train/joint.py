"""Stage 2: projector and language model, then everything together.

First the tower is frozen and its features of augmented photos are kept and
met under several policies each; then a share of the time all weights are
trained together at a low rate. Loss falls on the answer only, most of it on
rating and category. Policies follow LlavaGuard's augmentation (policies.py);
photos come at both details, base image alone and full anyres.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance
from torch import nn
from transformers import AutoTokenizer, SiglipVisionModel

import data
import policies
import workers
from data import Clock, PhotoSet
from export import SKELETON, image_processor, prompt_ids, save
from model import SIDE, new_model
from muon import Muon
from policies import Parts
from tower import Source

# Weight of an answer's token in the loss, by the part it belongs to.
TOKEN_WEIGHT = {"skeleton": 0.3, "rating": 8.0, "category": 2.0, "rationale": 0.35}


@dataclass
class View:
    """An augmented photo: pixels [tiles, 3, SIDE, SIDE] uint8, its (height, width), and the tower's features once known."""

    pixels: torch.Tensor
    size: tuple[int, int]
    concept: str
    features: torch.Tensor | None = None


class Views:
    """Draws photos with safe and unsafe concepts in balance and augments them with Pillow."""

    def __init__(self, folder: str, rng: random.Random, high_share: float):
        self.photos = PhotoSet(folder)
        chosen = self.photos.side(validation=False)
        self.safe = [p for p in chosen if p.category == "NA"]
        self.unsafe = [p for p in chosen if p.category != "NA"]
        # Fire, the only photos of O9, twice as often as for the tower: both categories' rules must be learnt.
        self.weights = {True: [Source.weight(p) * (2 if p.category == "O9" else 1) for p in self.unsafe], False: [Source.weight(p) for p in self.safe]}
        self.rng, self.high_share = rng, high_share
        self.processor = image_processor()

    def augment(self, image: Image.Image) -> Image.Image:
        """Mirror, crop of at least 60% of the area, colour, and sometimes a lower resolution."""
        rng = self.rng
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if rng.random() < 0.6:
            area, aspect = rng.uniform(0.6, 1), rng.uniform(0.85, 1.18)
            w, h = min(1, (area * aspect) ** 0.5) * image.width, min(1, (area / aspect) ** 0.5) * image.height
            x, y = rng.uniform(0, image.width - w), rng.uniform(0, image.height - h)
            image = image.crop((int(x), int(y), max(int(x) + 8, int(x + w)), max(int(y) + 8, int(y + h))))
        for effect in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            if rng.random() < 0.5:
                image = effect(image).enhance(rng.uniform(0.75, 1.3))
        if rng.random() < 0.25 and min(image.size) > 64:
            scale = rng.uniform(64, min(image.size)) / min(image.size)
            image = image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))), Image.Resampling.BICUBIC)
        return image

    def draw(self) -> View:
        unsafe = self.rng.random() < 0.5
        photo = self.rng.choices(self.unsafe if unsafe else self.safe, self.weights[unsafe])[0]
        image = self.augment(self.photos.image(photo))
        if self.rng.random() < self.high_share:
            values = self.processor(image, return_tensors="pt")["pixel_values"][0]
            pixels = ((values + 1) * 127.5).round().clamp(0, 255).byte()
        else:
            base = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            pixels = torch.from_numpy(np.asarray(base).copy()).permute(2, 0, 1)[None]
        return View(pixels, (image.height, image.width), photo.concept)


@dataclass
class Sample:
    """Token ids of prompt and answer, the loss weight of each, and the view behind them."""

    ids: list[int]
    weights: list[float]
    view: View


class Samples:
    """Builds training samples: a view, a policy, the answer it calls for."""

    def __init__(self, tokenizer, rng: random.Random):
        self.tokenizer, self.rng, self.parts = tokenizer, rng, Parts()

    def shorten(self, categories: list[policies.Category], own: str) -> list[policies.Category]:
        """Keeps one to four categories, the photo's own among them: cheap steps for the start."""
        kept = {c.id for c in self.rng.sample(categories, min(len(categories), self.rng.randint(0, 3)))} | {own, "O6", "O9"}
        if self.rng.random() < 0.4:
            kept -= {self.rng.choice([i for i in ("O6", "O9") if i != own])}
        return [c for c in categories if c.id in kept]

    def make(self, view: View, visual: int, short: bool) -> Sample:
        """`visual` is the number of visual tokens; `short` drops most foreign categories."""
        categories, _ = policies.vary(self.parts, view.concept, self.rng)
        if short:
            categories = self.shorten(categories, data.CATEGORY_OF[view.concept])
        rating, label = policies.verdict(view.concept, categories)
        text = policies.rationale(view.concept, categories, self.rng)
        encode = lambda t: self.tokenizer.encode(t, add_special_tokens=False)  # noqa: E731
        ids = prompt_ids(self.tokenizer, self.parts.prompt(categories), visual)
        weights = [0.0] * len(ids)
        pieces = [(SKELETON[0], "skeleton"), (rating, "rating"), (SKELETON[1], "skeleton"), (label, "category"),
                  (SKELETON[2], "skeleton"), (text + '"\n}', "rationale")]
        for piece, kind in pieces:
            part = encode(piece)
            ids += part
            weights += [TOKEN_WEIGHT[kind]] * len(part)
        ids.append(self.tokenizer.eos_token_id)
        weights.append(TOKEN_WEIGHT["rationale"])
        return Sample(ids, weights, view)


def packed(model, view: View, features: torch.Tensor) -> torch.Tensor:
    """Projected and packed tokens of a view; a single tile stays as it is (detail low)."""
    inner = model.model
    projected = inner.multi_modal_projector(features)
    if len(projected) == 1:
        return projected[0]
    return inner.pack_image_features([projected], [view.size], image_newline=inner.image_newline,
                                     vision_aspect_ratio=model.config.vision_aspect_ratio)[0][0]


def count_visual(model, view: View) -> int:
    """Number of visual tokens of a view."""
    tokens = (SIDE // 16) ** 2
    if len(view.pixels) == 1:
        return tokens
    dummy = torch.zeros(len(view.pixels), tokens, 1)
    return len(model.model.pack_image_features([dummy], [view.size], image_newline=torch.zeros(1),
                                               vision_aspect_ratio=model.config.vision_aspect_ratio)[0][0])


def normalised(pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
    return pixels.to(device).float() / 127.5 - 1


def tower_features(model, views: list[View], device: torch.device) -> list[torch.Tensor]:
    """The last layer's output before the post-layernorm, per view [tiles, 64, width]."""
    pixels = normalised(torch.cat([v.pixels for v in views]), device)
    out = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1]
    return list(out.split([len(v.pixels) for v in views]))


def answer_loss(model, batch: list[Sample], features: list[torch.Tensor], device: torch.device) -> tuple[torch.Tensor, float, float]:
    """Weighted cross-entropy over the answers, and the rating's loss and accuracy for the log."""
    longest = max(len(s.ids) for s in batch)
    pad = model.config.text_config.pad_token_id
    ids = torch.tensor([s.ids + [pad] * (longest - len(s.ids)) for s in batch], device=device)
    weights = torch.tensor([s.weights + [0.0] * (longest - len(s.weights)) for s in batch], device=device)
    visual = torch.cat([packed(model, s.view, f) for s, f in zip(batch, features)])
    embeds = model.get_input_embeddings()(ids)
    embeds = embeds.masked_scatter((ids == model.config.image_token_id)[..., None], visual.to(embeds.dtype))
    hidden = model.model.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
    # Position t predicts token t + 1; only answers are scored. Padding is on the right, behind all that counts.
    scored = weights[:, 1:] > 0
    logits = model.lm_head(hidden[:, :-1][scored]).float()
    target, weight = ids[:, 1:][scored], weights[:, 1:][scored]
    each = F.cross_entropy(logits, target, reduction="none")
    rating = weight == TOKEN_WEIGHT["rating"]
    right = (logits[rating].argmax(-1) == target[rating]).float().mean()
    return (each * weight).sum() / len(batch) / 20, float(each[rating].mean().detach()), float(right)


def whiten_projector(model, features: torch.Tensor) -> None:
    """Lets the projector's first layer start on features of zero mean and unit variance."""
    flat = features.reshape(-1, features.shape[-1])
    mean, std = flat.mean(0), flat.std(0) + 1e-3
    with torch.no_grad():
        linear = model.model.multi_modal_projector.linear_1
        linear.weight.normal_(0, linear.weight.shape[1] ** -0.5)
        linear.weight.div_(std)
        linear.bias.copy_(-linear.weight @ mean)
        model.model.multi_modal_projector.linear_2.weight.normal_(0, 0.05)


def build_optimisers(model, tower: bool) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the matrices of language model and projector, AdamW for the rest, each with its rate relative to --lr."""
    names = [(n, p) for n, p in model.named_parameters() if "post_layernorm" not in n]
    inner = [(n, p) for n, p in names if "vision_tower" not in n]
    model.model.vision_tower.requires_grad_(tower)
    matrix = lambda n, p: p.dim() == 2 and "embed" not in n and "lm_head" not in n  # noqa: E731
    result = [
        (Muon([p for n, p in inner if matrix(n, p)], lr=0.0), 1.0),
        (torch.optim.AdamW([p for n, p in inner if not matrix(n, p)], lr=0.0, betas=(0.9, 0.98), weight_decay=0.0), 0.5),
    ]
    if tower:
        vision = [(n, p) for n, p in names if "vision_tower" in n]
        result.append((Muon([p for n, p in vision if p.dim() == 2 and "embeddings" not in n], lr=0.0), 0.25))
        result.append((torch.optim.AdamW([p for n, p in vision if p.dim() != 2 or "embeddings" in n], lr=0.0, weight_decay=0.0), 0.08))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", required=True)
    parser.add_argument("--tower", required=True, type=Path, help="folder `tower` written by tower.py")
    parser.add_argument("--tokenizer", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--together", type=float, default=0.35, help="last share of the time in which the tower learns too")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--reuse", type=float, default=3, help="samples drawn per view while the tower is frozen")
    parser.add_argument("--capacity", type=int, default=16_000, help="views held in memory")
    parser.add_argument("--high", type=float, default=0.25, help="share of views at full anyres")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the batch, on CPU")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    workers.launch(train, args)


def train(rank: int, args: argparse.Namespace) -> None:
    """One worker's run."""
    torch.set_num_threads(max(1, args.threads // args.workers))
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed + 7919 * rank + int(time.time()) % 100_000)
    device = data.pick_device(args.device)
    batch_size = args.batch // args.workers
    checkpoint = args.out / "joint.pt"

    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    model = new_model(tokenizer).to(device)
    model.model.vision_tower.load_state_dict(SiglipVisionModel.from_pretrained(args.tower).state_dict())
    source, samples = Views(args.photos, rng, args.high), Samples(tokenizer, rng)
    step, used, whitened = 0, 0.0, False
    together = False
    opts = build_optimisers(model, together)
    average: dict[str, torch.Tensor] | None = None
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        model.load_state_dict(saved["model"])
        step, used, whitened, together, average = saved["step"], saved["used"], True, saved["together"], saved["average"]
        opts = build_optimisers(model, together)
        for (o, _), s in zip(opts, saved["optimisers"]):
            o.load_state_dict(s)
    pool: list[View] = []
    queue: list[list[Sample]] = []
    drawn = 0
    log: dict[str, float] = {}
    last = time.time()

    @torch.no_grad()
    def fill(n: int) -> None:
        for start in range(0, n, 32):
            views = [source.draw() for _ in range(32)]
            if not together:
                with torch.autocast(device.type, torch.bfloat16):
                    for view, f in zip(views, tower_features(model, views, device)):
                        view.features = f.half().cpu()
            pool.extend(views)
        del pool[: max(0, len(pool) - args.capacity // args.workers)]

    def store() -> None:
        torch.save({"model": model.state_dict(), "average": average, "step": step, "used": clock.used, "together": together,
                    "optimisers": [o.state_dict() for o, _ in opts]}, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)
        raw = {k: v.clone() for k, v in model.state_dict().items()}
        if average is not None:
            model.load_state_dict(average, strict=False)
        save(model, tokenizer, args.out / "checkpoint")
        model.load_state_dict(raw)

    fill(min(512, args.capacity))
    clock = Clock(args.minutes, used)
    saved_at, progress = time.time(), clock.progress
    while progress < 1:
        if not together and progress > 1 - args.together:
            together, queue, drawn = True, [], 0
            pool.clear()
            opts = build_optimisers(model, together)
            fill(256)
        if not whitened:
            whiten_projector(model, torch.cat([v.features[0] for v in pool[:500]]).float().to(device))
            workers.broadcast(model.state_dict().values())
            whitened = True
        if not queue:
            # Views meet policies; batches hold samples of like length, so that little is padding.
            if together:
                fill(batch_size * 4)
                chosen = pool[-batch_size * 4:]
            else:
                if drawn >= len(pool) * args.reuse or len(pool) < args.capacity // args.workers and drawn > 0:
                    fill(batch_size * 8 // int(args.reuse))
                chosen = [rng.choice(pool) for _ in range(batch_size * 8)]
            drawn += len(chosen)
            short = lambda: rng.random() < (0.8 if progress < 0.4 else 0.45)  # noqa: E731
            made = sorted((samples.make(v, count_visual(model, v), short()) for v in chosen), key=lambda s: len(s.ids))
            queue = [made[i:i + batch_size] for i in range(0, len(made), batch_size)]
            rng.shuffle(queue)
        batch = queue.pop()
        # The rate rises, stays, and falls to nothing; it starts lower when the tower joins.
        rate = args.lr * min(1.0, (step + 1) / 100) * min(1.0, (1 - progress) / 0.5 + 0.02)
        for o, relative in opts:
            for group in o.param_groups:
                group["lr"] = rate * relative
        with torch.autocast(device.type, torch.bfloat16):
            if together:
                features = tower_features(model, [s.view for s in batch], device)
            else:
                features = [s.view.features.to(device).float() for s in batch]
            loss, rating, right = answer_loss(model, batch, features, device)
        for o, _ in opts:
            o.zero_grad(set_to_none=True)
        loss.backward()
        progress = workers.average_gradients(model.parameters(), clock.progress)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o, _ in opts:
            o.step()
        step += 1
        if progress > 0.5:
            # Averaged weights of the last half are what is saved.
            state = {k: v for k, v in model.state_dict().items() if v.is_floating_point() and "lm_head" not in k}
            if average is None:
                average = {k: v.clone() for k, v in state.items()}
            for k, v in state.items():
                average[k].lerp_(v, 0.01)
        for k, v in (("loss", float(loss.detach())), ("rating", rating), ("right", right)):
            log[k] = log[k] * 0.97 + v * 0.03 if k in log else v
        if rank == 0 and step % 20 == 0:
            speed = 20 * args.batch / (time.time() - last)
            last = time.time()
            print(f"step {step} {clock.used / 60:.1f} min {'together ' if together else ''}{speed:.1f}/s, length {len(batch[-1].ids)}, pool {len(pool)}: "
                  + " ".join(f"{k} {v:.3f}" for k, v in log.items()), flush=True)
        if rank == 0 and (progress >= 1 or time.time() - saved_at > 150):
            store()
            saved_at = time.time()


if __name__ == "__main__":
    main()
