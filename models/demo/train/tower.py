"""Stage 1: the vision tower, distilled from EfficientNet-Lite0 on the photos.

A pool of augmented views is kept in memory together with the teacher's
features of the very same crops ("consistent teaching", Beyer et al. 2022);
fresh views replace old ones as training goes. The student's second, fourth
and last layers regress the teacher's maps at strides 8, 16 and 32, its pooled
output the teacher's pooled features, ImageNet logits and concept
probabilities. The concept probabilities come from a linear probe on the
teacher's features, so that a crop that misses the object is labelled by what
it shows. Matrices are trained by Muon, everything else by AdamW.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import data
import workers
from data import CONCEPTS, Clock, PhotoSet
from model import GRID, SIDE, WIDTH, new_tower
from muon import Muon
from teacher import CHANNELS, TEACHER_SIDE, Teacher

# Layer outputs that carry the teacher's maps at strides 8, 16 and 32.
TAPS = {"early": 2, "middle": 4, "late": -1}
EARLY_SIDE = 2 * GRID  # four stride-8 cells a patch
LATE_SIDE = TEACHER_SIDE // 32
# Step of the int8 grid on which standardised teacher features are kept.
QUANTUM = 1 / 20
# Neutral photos that mostly show people, as weapon and smoking photos do.
PEOPLE = ("smoking-detection", "tiny COCO", "academic gown", "kimono", "poncho", "miniskirt", "fur coat", "neck brace",
          "barbershop", "basketball", "rugby ball", "volleyball", "sombrero", "bow tie", "sunglasses", "cardigan", "gasmask", "vestment")


class Student(nn.Module):
    """The tower and the heads it is trained through; only the tower is kept."""

    def __init__(self):
        super().__init__()
        self.tower = new_tower()
        self.early = nn.Linear(WIDTH, 4 * CHANNELS["early"])
        self.middle = nn.Linear(WIDTH, CHANNELS["middle"])
        self.late = nn.Linear(WIDTH, CHANNELS["late"])
        self.norm = nn.ModuleDict({k: nn.LayerNorm(WIDTH) for k in ("early", "middle", "late", "pooled")})
        self.pooled = nn.Sequential(nn.Linear(WIDTH, 768), nn.GELU(), nn.Linear(768, CHANNELS["pooled"]))
        self.concept = nn.Linear(WIDTH, len(CONCEPTS))

    def states(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Layer outputs before the post-layernorm; x: [B, 3, SIDE, SIDE] in -1..1.

        With `keep`, only those patches' tokens are processed, which costs
        proportionally less (PatchDropout, Liu et al. 2022).
        """
        inner = getattr(self.tower, "vision_model", self.tower)
        hidden = inner.embeddings(x)
        if keep is not None:
            hidden = hidden[:, keep]
        states = [hidden]
        for layer in inner.encoder.layers:
            hidden = layer(hidden, None)
            hidden = hidden[0] if isinstance(hidden, tuple) else hidden
            states.append(hidden)
        return states

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Mean of the normalised last states, [B, WIDTH]."""
        return self.norm["pooled"](self.states(x)[-1]).mean(1)

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Predicted maps as tokens [B, kept, C], pooled features, and concept logits."""
        states = self.states(x, keep)
        out = {k: getattr(self, k)(self.norm[k](states[TAPS[k]])) for k in TAPS}
        mean = self.norm["pooled"](states[-1]).mean(1)
        return out | {"pooled": self.pooled(mean), "concept": self.concept(mean)}


class Pool:
    """Views and the teacher's standardised features of them, in compact types."""

    def __init__(self, capacity: int, teacher: Teacher, device: torch.device):
        self.capacity, self.teacher, self.device = capacity, teacher, device
        self.filled = self.next = 0
        self.x = torch.empty(capacity, 3, SIDE, SIDE, dtype=torch.uint8)
        shapes = {
            "early": (CHANNELS["early"], EARLY_SIDE, EARLY_SIDE),
            "middle": (CHANNELS["middle"], GRID, GRID),
            "late": (CHANNELS["late"], LATE_SIDE, LATE_SIDE),
            "pooled": (CHANNELS["pooled"],),
        }
        self.target = {k: torch.empty(capacity, *s, dtype=torch.int8) for k, s in shapes.items()}
        self.label = torch.empty(capacity, dtype=torch.long)
        self.stats: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def teach(self, views: torch.Tensor) -> dict[str, torch.Tensor]:
        """The teacher's maps at the student's grids; views: [B, 3, TEACHER_SIDE^2] in 0..1."""
        out = self.teacher(views.to(self.device) * 2 - 1)
        out["early"] = F.interpolate(out["early"], size=EARLY_SIDE, mode="bilinear", antialias=True)
        out["middle"] = F.interpolate(out["middle"], size=GRID, mode="bilinear", antialias=True)
        return {k: v.cpu() for k, v in out.items()}

    def add(self, views: torch.Tensor, labels: torch.Tensor) -> None:
        """Appends a batch, overwriting the oldest views when full."""
        out = self.teach(views)
        n = len(views)
        slot = (torch.arange(n) + self.next) % self.capacity
        small = F.interpolate(views, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        self.x[slot] = (small * 255).round().clamp(0, 255).byte()
        self.label[slot] = labels
        for k, v in out.items():
            if k not in self.stats:
                axes = [0] + list(range(2, v.dim()))
                self.stats[k] = (v.mean(axes, keepdim=True)[0], v.std(axes, keepdim=True)[0] + 1e-3)
            mean, std = self.stats[k]
            self.target[k][slot] = ((v - mean) / std / QUANTUM).round().clamp(-127, 127).to(torch.int8)
        self.next = (self.next + n) % self.capacity
        self.filled = min(self.capacity, self.filled + n)

    def dequantised(self, name: str, index: torch.Tensor) -> torch.Tensor:
        return self.target[name][index].to(self.device).float() * QUANTUM

    def tokens(self, name: str, index: torch.Tensor) -> torch.Tensor:
        """A map as the student's tokens [B, GRID^2, C]; four stride-8 cells make one token."""
        target = self.dequantised(name, index)
        if name == "early":
            target = F.pixel_unshuffle(target, 2)
        elif name == "late":
            target = F.interpolate(target, size=GRID, mode="bilinear", align_corners=False)
        return target.flatten(2).mT


def extra_images(folder: str | None, limit: int = 30_000) -> torch.Tensor:
    """[N, 3, 64, 64] uint8: an even sample of the images below a folder."""
    files = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpeg", ".jpg", ".png")) if folder else []
    files = files[:: max(1, len(files) // limit)]
    out = torch.empty(len(files), 3, 64, 64, dtype=torch.uint8)
    for i, file in enumerate(files):
        image = Image.open(file).convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)
        out[i] = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    return out


class Source:
    """Draws training views: weighted photos, crops, pasted patches, lowered resolution."""

    def __init__(self, folder: str, extra: str | None, generator: torch.Generator, cache: Path):
        photos = PhotoSet(folder)
        self.chosen = photos.side(validation=False)
        self.labels = torch.tensor([p.label for p in self.chosen])
        self.weights = torch.tensor([self.weight(p) for p in self.chosen])
        self.held = [p for p in photos.side(validation=True) if p.hires]
        if not cache.exists():
            torch.save((data.squashed(photos, self.chosen), data.squashed(photos, self.held, SIDE), extra_images(extra)), cache)
        self.store, self.held_store, self.extra = torch.load(cache, mmap=True, weights_only=True)
        self.generator = generator
        self.extra_share = 0.15 if len(self.extra) else 0.0

    @staticmethod
    def weight(photo: data.Photo) -> float:
        """Sampling weight: what is measured (over 64 px, people without weapons) counts more."""
        if photo.concept in ("object", "scenery"):
            people = any(s in photo.source for s in PEOPLE)
            if photo.hires:
                return 5.0 if people else 2.2
            return 1.2 if people else 0.4
        return {"firearm": 1.3, "knife": 2.0, "smoking": 3.0, "alcohol": 2.0, "fire": 2.5}[photo.concept]

    def views(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """[n, 3, TEACHER_SIDE, TEACHER_SIDE] in 0..1 and labels (-1 where the photo has none of its own)."""
        g = self.generator
        extra = int(n * self.extra_share)
        index = torch.multinomial(self.weights, n - extra, True, generator=g)
        x = data.random_views(self.store, index, TEACHER_SIDE, g)
        labels = self.labels[index].clone()
        if extra:
            other = torch.randint(len(self.extra), (extra,), generator=g)
            x = torch.cat([x, data.random_views(self.extra, other, TEACHER_SIDE, g)])
            labels = torch.cat([labels, torch.full((extra,), -1)])
        # A rectangle of another photo pasted in: what stands beside people then says less.
        for i in (torch.rand(n, generator=g) < 0.2).nonzero().flatten().tolist():
            j = int(torch.randint(n, (1,), generator=g))
            h, w = (int(v) for v in torch.randint(TEACHER_SIDE // 4, TEACHER_SIDE * 3 // 4, (2,), generator=g))
            t, l = int(torch.randint(TEACHER_SIDE - h, (1,), generator=g)), int(torch.randint(TEACHER_SIDE - w, (1,), generator=g))
            x[i, :, t:t + h, l:l + w] = x[j, :, t:t + h, l:l + w]
            labels[i] = -1
        x = data.degrade(x, g)
        return x, labels


def fit_probe(pool: Pool, steps: int = 300) -> nn.Linear:
    """Linear concept probe on the teacher's pooled features of the labelled views."""
    with torch.enable_grad():
        known = (pool.label[: pool.filled] >= 0).nonzero().flatten()
        probe = nn.Linear(CHANNELS["pooled"], len(CONCEPTS)).to(pool.device)
        optimiser = torch.optim.AdamW(probe.parameters(), 2e-3, weight_decay=0.1)
        for step in range(steps):
            index = known[torch.randint(len(known), (512,))]
            loss = F.cross_entropy(probe(pool.dequantised("pooled", index)), pool.label[index].to(pool.device), label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return probe.requires_grad_(False)


def unsafe_scores(logits: torch.Tensor) -> torch.Tensor:
    """P(Unsafe) from concept logits: the first two concepts are the safe ones."""
    return logits.float().softmax(-1)[:, 2:].sum(-1)


def report(scores: torch.Tensor, held: list[data.Photo]) -> dict[str, float]:
    """Balanced accuracy at 0.5 and at the best threshold, and AUC."""
    t = torch.tensor([p.category != "NA" for p in held])
    s = scores
    best = 0.0
    for cut in torch.quantile(s, torch.linspace(0.02, 0.98, 97)):
        best = max(best, 0.5 * float((s[t] > cut).float().mean() + (s[~t] <= cut).float().mean()))
    order = torch.cat([s[t], s[~t]]).argsort().argsort().float() + 1
    auc = (order[: int(t.sum())].sum() - t.sum() * (t.sum() + 1) / 2) / (t.sum() * (~t).sum())
    at_half = 0.5 * float((s[t] > 0.5).float().mean() + (s[~t] <= 0.5).float().mean())
    return {"balanced_at_half": round(at_half, 4), "balanced_best": round(best, 4), "auc": round(float(auc), 4)}


def losses(student: Student, pool: Pool, probe: nn.Linear, index: torch.Tensor, kept: int,
           generator: torch.Generator) -> dict[str, torch.Tensor]:
    """All training losses of one batch of pool views."""
    device = pool.device
    x = pool.x[index].to(device).float().div_(255)
    x = data.photometric(x, generator) * 2 - 1
    keep = torch.randperm(GRID * GRID, generator=generator)[:kept].sort().values.to(device)
    with torch.autocast(device.type, torch.bfloat16):
        out = student(x, keep)
    out = {k: v.float() for k, v in out.items()}
    want = {k: pool.tokens(k, index)[:, keep] for k in TAPS}
    want["pooled"] = pool.dequantised("pooled", index)
    result = {k: F.smooth_l1_loss(out[k], want[k]) for k in want}
    mean, std = (s.to(device) for s in pool.stats["pooled"])
    classify = pool.teacher.classifier
    teacher_logits = classify(want["pooled"] * std + mean)
    student_logits = classify(out["pooled"] * std + mean)
    result["imagenet"] = F.kl_div(student_logits.log_softmax(-1), teacher_logits.softmax(-1), reduction="batchmean")
    soft = probe(want["pooled"]).softmax(-1)
    label = pool.label[index].to(device)
    hard = F.one_hot(label.clamp(min=0), len(CONCEPTS)).float()
    share = torch.where(label >= 0, 0.35, 0.0)[:, None]
    result["concept"] = F.cross_entropy(out["concept"], share * hard + (1 - share) * soft)
    return result


WEIGHTS = {"early": 0.5, "middle": 1.0, "late": 1.5, "pooled": 2.0, "imagenet": 0.25, "concept": 1.0}


def optimisers(student: Student, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the tower's matrices, AdamW for the rest."""
    encoder = getattr(student.tower, "vision_model", student.tower).encoder
    matrices = [p for p in encoder.parameters() if p.dim() == 2]
    taken = {id(p) for p in matrices}
    rest = [p for p in student.parameters() if id(p) not in taken]
    return [
        Muon(matrices, lr=lr),
        torch.optim.AdamW(rest, lr=lr * 0.6, weight_decay=0.02, betas=(0.9, 0.98)),
    ]


def schedule(progress: float, step: int) -> float:
    """Warm-up over 150 steps, constant, then a linear fall over the last half."""
    return min(1.0, (step + 1) / 150) * min(1.0, max(0.02, (1 - progress) / 0.5))


@torch.inference_mode()
def validate(student: Student, source: Source, device: torch.device) -> dict[str, float]:
    student.eval()
    scores = []
    for part in source.held_store.split(256):
        x = part.to(device).float() / 127.5 - 1
        with torch.autocast(device.type, torch.bfloat16):
            scores.append(unsafe_scores(student.concept(student.features(x))).cpu())
    student.train()
    return report(torch.cat(scores), source.held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", required=True)
    parser.add_argument("--extra", help="folder of further unlabelled images (e.g. Tiny ImageNet's train)")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--batch", type=int, default=192)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--capacity", type=int, default=50_000, help="views held in memory, about 90 kB each")
    parser.add_argument("--reuse", type=float, default=5, help="training samples drawn per new view")
    parser.add_argument("--dropping", type=float, default=0.7, help="share of the time in which half of the patches are left out")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the batch, on CPU")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if not (args.out / "store.pt").exists():
        Source(args.photos, args.extra, torch.Generator(), args.out / "store.pt")
    workers.launch(train, args)


def train(rank: int, args: argparse.Namespace) -> None:
    """One worker's run."""
    torch.set_num_threads(max(1, args.threads // args.workers))
    torch.manual_seed(args.seed)
    device = data.pick_device(args.device)
    generator = torch.Generator().manual_seed(args.seed + 7919 * rank + int(time.time()) % 100_000)
    checkpoint = args.out / "tower.pt"

    source = Source(args.photos, args.extra, generator, args.out / "store.pt")
    teacher = Teacher().to(device)
    pool = Pool(args.capacity // args.workers, teacher, device)
    student = Student().to(device)
    average = copy.deepcopy(student)
    opts = optimisers(student, args.lr)
    step, used, drawn = 0, 0.0, 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        student.load_state_dict(saved["student"])
        average.load_state_dict(saved["average"])
        for o, s in zip(opts, saved["optimisers"]):
            o.load_state_dict(s)
        step, used, pool.stats = saved["step"], saved["used"], saved["stats"]
    print(f"{len(source.chosen)} photos, {len(source.extra)} extra images, step {step}", flush=True)

    def fill(n: int) -> None:
        for _ in range(n // 64):
            pool.add(*source.views(64))

    clock = Clock(args.minutes, used)
    fill(256)
    if args.workers > 1:
        # One scale for all: the first worker's statistics.
        workers.broadcast(t for pair in pool.stats.values() for t in pair)
        pool.filled = pool.next = 0
    fill(2048)
    added = 2048

    def shared_probe() -> nn.Linear:
        probe = fit_probe(pool)
        workers.average(probe.parameters())
        return probe

    probe = shared_probe()
    log, last, progress = {}, time.time(), clock.progress
    while progress < 1:
        if drawn >= added * args.reuse and progress < 0.93:
            fill(1024)
            added += 1024
            if added in (4096, 8192, 16384, 32768):
                probe = shared_probe()
        for o, base in zip(opts, (args.lr, args.lr * 0.6)):
            for group in o.param_groups:
                group["lr"] = base * schedule(progress, step)
        index = torch.randint(pool.filled, (args.batch // args.workers,), generator=generator)
        # Half of the patches for most of the time, all of them towards the end.
        kept = GRID * GRID // 2 if progress < args.dropping else GRID * GRID
        parts = losses(student, pool, probe, index, kept, generator)
        loss = sum(WEIGHTS[k] * v for k, v in parts.items())
        for o in opts:
            o.zero_grad(set_to_none=True)
        loss.backward()
        progress = workers.average_gradients(student.parameters(), clock.progress)
        nn.utils.clip_grad_norm_(student.parameters(), 3.0)
        for o in opts:
            o.step()
        decay = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, p in zip(average.parameters(), student.parameters()):
                a.lerp_(p, 1 - decay)
        step += 1
        drawn += args.batch // args.workers
        if rank:
            continue
        for k, v in parts.items():
            log[k] = log.get(k, 0) * 0.98 + float(v.detach()) * 0.02 if k in log else float(v.detach())
        if step % 25 == 0:
            rate = 25 * args.batch / (time.time() - last)
            last = time.time()
            print(f"step {step} {clock.used / 60:.1f} min, {rate:.0f}/s, added {added} " + " ".join(f"{k} {v:.3f}" for k, v in log.items()), flush=True)
        if step % 100 == 0 or progress >= 1:
            print("held out", json.dumps(validate(average, source, device)), flush=True)
            state = {"student": student.state_dict(), "average": average.state_dict(), "step": step, "used": clock.used,
                     "optimisers": [o.state_dict() for o in opts], "stats": pool.stats}
            torch.save(state, checkpoint.with_suffix(".tmp"))
            checkpoint.with_suffix(".tmp").replace(checkpoint)
            average.tower.save_pretrained(args.out / "tower")


if __name__ == "__main__":
    main()
