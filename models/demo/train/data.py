"""Photos of the demo model: index, group split, packing and batch augmentation.

The photo folder holds `train.jsonl` (one row a file: file, concept, category,
width, height, group, source, licence) and the files themselves, either
unpacked or in `train.tar`. All photos of one group (one source photo, one
video) land on the same side of the split.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

CONCEPTS = ["object", "scenery", "firearm", "knife", "smoking", "alcohol", "fire"]
CATEGORY_OF = {
    "object": "NA", "scenery": "NA", "firearm": "O6", "knife": "O6",
    "smoking": "O6", "alcohol": "O6", "fire": "O9",
}
# Share of the groups that is held out for validation.
VALIDATION_SHARE = 0.14
# Held out by name besides: the only CC BY 4.0 photos of fire come in a few large groups.
VALIDATION_GROUPS = {"1a6b27a002"}
# Side of the square to which photos are squashed for the tower's training.
STORE_SIDE = 160


@dataclass(frozen=True)
class Photo:
    """One row of the photo index."""

    file: str
    concept: str
    category: str
    width: int
    height: int
    group: str
    source: str
    licence: str

    @property
    def label(self) -> int:
        """Index of the concept in `CONCEPTS`."""
        return CONCEPTS.index(self.concept)

    @property
    def hires(self) -> bool:
        """Whether the smaller side is over 64 px (Tiny ImageNet's is 64)."""
        return min(self.width, self.height) > 64

    @property
    def validation(self) -> bool:
        """Side of the split, a function of the group's name alone."""
        if self.group in VALIDATION_GROUPS:
            return True
        digest = hashlib.sha256(("demo-split:" + self.group).encode()).digest()
        return int.from_bytes(digest[:4], "big") < VALIDATION_SHARE * 2**32


class PhotoSet:
    """Index and bytes of the photos in a folder, a tar beside it, or a pack."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        with open(self.folder / "train.jsonl", encoding="utf-8") as rows:
            self.photos = [Photo(**json.loads(row)) for row in rows if row.strip()]
        self._tar = None
        self._members: dict[str, tarfile.TarInfo] = {}
        if not (self.folder / self.photos[0].file).exists():
            tar = self.folder / "train.tar"
            self._tar = tarfile.open(tar)
            self._members = {m.name.removeprefix("./"): m for m in self._tar.getmembers()}

    def read(self, photo: Photo) -> bytes:
        """The file's bytes."""
        if self._tar is None:
            return (self.folder / photo.file).read_bytes()
        member = self._tar.extractfile(self._members[photo.file])
        if member is None:
            raise FileNotFoundError(photo.file)
        return member.read()

    def image(self, photo: Photo) -> Image.Image:
        """The decoded photo as RGB."""
        return Image.open(io.BytesIO(self.read(photo))).convert("RGB")

    def side(self, validation: bool) -> list[Photo]:
        """Photos of one side of the split, in the index's order."""
        return [p for p in self.photos if p.validation == validation]


def squashed(photos: PhotoSet, chosen: list[Photo], side: int = STORE_SIDE) -> torch.Tensor:
    """[N, 3, side, side] uint8, each photo squashed to a square by Pillow's bicubic."""
    out = torch.empty(len(chosen), 3, side, side, dtype=torch.uint8)
    for i, photo in enumerate(chosen):
        image = photos.image(photo).resize((side, side), Image.Resampling.BICUBIC)
        out[i] = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    return out


def random_views(store: torch.Tensor, index: torch.Tensor, side: int,
                 generator: torch.Generator, smallest: float = 0.25) -> torch.Tensor:
    """Random crops of `store[index]`, mirrored half the time.

    Returns [B, 3, side, side] float in 0..1. Area share is uniform in
    smallest..1, the aspect ratio log-uniform in 3/4..4/3.
    """
    n = len(index)
    rand = lambda: torch.rand(n, generator=generator)  # noqa: E731
    area = smallest + (1 - smallest) * rand()
    area = torch.where(rand() < 0.25, torch.ones(n), area)  # the whole photo is what inference sees
    aspect = torch.exp((rand() * 2 - 1) * 0.2877)
    w = (area * aspect).sqrt().clamp(max=1)
    h = (area / aspect).sqrt().clamp(max=1)
    cx = (1 - w) * (rand() * 2 - 1)
    cy = (1 - h) * (rand() * 2 - 1)
    flip = torch.where(rand() < 0.5, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = w * flip
    theta[:, 0, 2] = cx
    theta[:, 1, 1] = h
    theta[:, 1, 2] = cy
    grid = F.affine_grid(theta, [n, 3, side, side], align_corners=False).to(store.device)
    pixels = store[index].float().div_(255)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def degrade(x: torch.Tensor, generator: torch.Generator, share: float = 0.35) -> torch.Tensor:
    """Lowers the resolution of a random share of the batch, so sharpness says nothing."""
    side = x.shape[-1]
    small = int(torch.randint(side * 3 // 8, side * 3 // 4, (1,), generator=generator))
    hit = (torch.rand(len(x), generator=generator) < share).nonzero().flatten().to(x.device)
    if len(hit):
        low = F.interpolate(x[hit], size=(small, small), mode="bilinear", antialias=True)
        x[hit] = F.interpolate(low, size=(side, side), mode="bicubic").clamp(0, 1)
    return x


def photometric(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random brightness, contrast, saturation, hue-like channel gains, and grey."""
    n = len(x)
    draw = lambda lo, hi, c=1: (lo + (hi - lo) * torch.rand(n, c, 1, 1, generator=generator)).to(x.device)  # noqa: E731
    x = x * draw(0.7, 1.3) * draw(0.88, 1.12, 3)
    x = (x - x.mean((1, 2, 3), keepdim=True)) * draw(0.7, 1.3) + x.mean((1, 2, 3), keepdim=True)
    grey = x.mean(1, keepdim=True)
    saturation = draw(0.5, 1.5)
    saturation = torch.where(draw(0, 1) < 0.08, torch.zeros_like(saturation), saturation)
    return (grey + (x - grey) * saturation).clamp(0, 1)


def reencoded(photos: PhotoSet, photo: Photo, quality: int) -> bytes:
    """The photo as JPEG of a given quality."""
    data = io.BytesIO()
    photos.image(photo).save(data, "JPEG", quality=quality, optimize=True)
    return data.getvalue()


def pack(photos: PhotoSet, out: Path, limit: int) -> None:
    """Writes `train.tar` and `train.jsonl` into one .tar.xz of at most `limit` bytes.

    Photos are re-encoded at the highest JPEG quality that fits, as estimated
    from a sample; unpack the file into a folder and pass that as `--photos`.
    """
    rows = (photos.folder / "train.jsonl").read_bytes()
    sample = photos.photos[:: max(1, len(photos.photos) // 400)]
    # xz takes about a seventh off: the tables of small JPEGs and tar's headers are much alike.
    room = 1.13 * limit / len(photos.photos)
    for quality in (85, 80, 75, 70, 65, 60, 55, 50, 45, 40, 35, 30, 25):
        if sum(len(reencoded(photos, p, quality)) for p in sample) / len(sample) > room:
            continue
        inner = io.BytesIO()
        with tarfile.open(fileobj=inner, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for photo in photos.photos:
                add_file(tar, photo.file, reencoded(photos, photo, quality))
        with tarfile.open(out, "w:xz") as tar:
            add_file(tar, "train.jsonl", rows)
            add_file(tar, "train.tar", inner.getvalue())
        size = out.stat().st_size
        print(f"quality {quality}: {size / 1e6:.1f} MB", flush=True)
        if size <= limit:
            return
    raise SystemExit(f"the photos do not fit into {limit} bytes")


def add_file(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Adds bytes as a file."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def pick_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


class Clock:
    """Wall-clock budget that survives restarts: seconds used are kept in the checkpoint."""

    def __init__(self, minutes: float, used: float = 0.0):
        self.budget, self.start = minutes * 60, time.time() - used

    @property
    def used(self) -> float:
        return time.time() - self.start

    @property
    def progress(self) -> float:
        """0 at the start, 1 when the budget is spent."""
        return min(1.0, self.used / self.budget)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sub = parser.add_subparsers(dest="command", required=True)
    p = sub.add_parser("pack", help="write the photos into one file")
    p.add_argument("--photos", required=True)
    p.add_argument("--out", required=True, type=Path)
    p.add_argument("--limit", type=int, default=50_000_000, help="bytes")
    p = sub.add_parser("split", help="print the validation groups' sizes by concept")
    p.add_argument("--photos", required=True)
    args = parser.parse_args()
    photos = PhotoSet(args.photos)
    if args.command == "pack":
        pack(photos, args.out, args.limit)
        return
    for concept in CONCEPTS:
        rows = [p for p in photos.photos if p.concept == concept]
        held = [p for p in rows if p.validation]
        print(f"{concept:9s} {len(rows):6d} photos, {len(held):5d} held out, {sum(p.hires for p in held):5d} of them over 64 px")


if __name__ == "__main__":
    main()
