"""Compares the engine's verdicts on the held-out photos under several model files, or under several
builds of the engine.

    python verdicts.py --photos PHOTOS --engine llavaguard --model REFERENCE.gguf --model OTHER.gguf ...
                       [--engine OTHER_LLAVAGUARD ...] [--detail low] [--limit 0] [--keep FOLDER]

Each `--model` is run with the `--engine` of the same place, or the last one given. The first model is
the reference: usually the same weights in f32 (`llavaguard convert demo-q8_0.gguf demo-f32.gguf --quant
f32`), so that what differs is rounding alone. `llavaguard assess --json --no-rationale` judges the photos
as users get them judged; nothing of Python's own computation takes part.

Printed for each other model: photos, how many ratings and how many ratings with categories are the same,
the mean and the largest difference of the probability of Unsafe, and how near to 1/2 the reference stood
where the rating changed. Exit status 1 if fewer than `--least` of the verdicts are unchanged.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from data import PhotoSet

# Photos given to one process: loading the model costs little beside them, the command line has a limit.
BATCH = 400


def extract(photos: PhotoSet, folder: Path, limit: int) -> list[Path]:
    """The held-out photos as files, in the index's order; at most `limit`, evenly spaced, 0 for all."""
    held = photos.side(validation=True)
    if limit and limit < len(held):
        held = [held[i * len(held) // limit] for i in range(limit)]
    files = []
    for photo in held:
        file = folder / photo.file.replace("/", "__")
        if not file.exists():
            file.write_bytes(photos.read(photo))
        files.append(file)
    return files


def assess(engine: str, model: Path, files: list[Path], detail: str) -> dict[str, dict]:
    """The engine's assessment of each file, by the file's name."""
    found = {}
    for start in range(0, len(files), BATCH):
        part = [str(file) for file in files[start:start + BATCH]]
        command = [engine, "assess", "--json", "--no-rationale", "--detail", detail, "--model", str(model), *part]
        run = subprocess.run(command, capture_output=True, text=True)
        # 0: all safe, 3: some unsafe. Anything else is no set of verdicts.
        if run.returncode not in (0, 3):
            sys.exit(f"{engine} failed with {run.returncode}: {run.stderr.strip()[-2000:]}")
        for line in run.stdout.splitlines():
            row = json.loads(line)
            found[Path(row["image"]).name] = row
    missing = [file.name for file in files if file.name not in found]
    if missing:
        sys.exit(f"{engine} did not judge {len(missing)} photos, {missing[0]} the first")
    return found


def compare(reference: dict[str, dict], other: dict[str, dict]) -> dict:
    """What differs between two sets of assessments of the same photos."""
    pairs = [(row, other[name]) for name, row in reference.items()]
    rating = [a["rating"] == b["rating"] for a, b in pairs]
    verdict = [same and a["category"]["id"] == b["category"]["id"] for same, (a, b) in zip(rating, pairs)]
    apart = [abs(a["unsafe_probability"] - b["unsafe_probability"]) for a, b in pairs]
    margins = [abs(a["unsafe_probability"] - 0.5) for same, (a, _) in zip(rating, pairs) if not same]
    return {
        "photos": len(pairs),
        "same_rating": sum(rating) / len(pairs),
        "same_verdict": sum(verdict) / len(pairs),
        "mean_difference": sum(apart) / len(pairs),
        "largest_difference": max(apart),
        "widest_margin_crossed": max(margins, default=0.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--model", action="append", required=True, type=Path)
    parser.add_argument("--engine", action="append", required=True, help="the program llavaguard")
    parser.add_argument("--detail", default="low", choices=["low", "auto", "high"])
    parser.add_argument("--limit", type=int, default=0, help="photos at most, evenly spaced; 0 for all")
    parser.add_argument("--keep", type=Path, help="folder for the photos and the assessments; a temporary one otherwise")
    parser.add_argument("--least", type=float, default=0.99)
    args = parser.parse_args()
    if len(args.model) < 2:
        parser.error("give at least two models, the reference first")
    engines = args.engine + [args.engine[-1]] * (len(args.model) - len(args.engine))
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        (folder / "photos").mkdir(parents=True, exist_ok=True)
        files = extract(PhotoSet(args.photos), folder / "photos", args.limit)
        good = True
        print("| model | engine | photos | same rating | same rating and category | mean difference of P(Unsafe) | largest | widest margin crossed |")
        print("|---|---|---|---|---|---|---|---|")
        reference = None
        for number, (engine, model) in enumerate(zip(engines, args.model)):
            found = assess(engine, model, files, args.detail)
            rows = "".join(json.dumps(row) + "\n" for row in found.values())
            (folder / f"{number}-{model.stem}-{args.detail}.jsonl").write_text(rows, encoding="utf-8")
            unsafe = sum(row["rating"] == "Unsafe" for row in found.values())
            if reference is None:
                reference = found
                print(f"| {model.name} (reference, {unsafe} Unsafe) | {engine} | {len(found)} | - | - | - | - | - |", flush=True)
                continue
            entry = compare(reference, found)
            good &= entry["same_verdict"] >= args.least
            print(f"| {model.name} | {engine} | {entry['photos']} | {entry['same_rating']:.2%} | {entry['same_verdict']:.2%} | "
                  f"{entry['mean_difference']:.2e} | {entry['largest_difference']:.2e} | {entry['widest_margin_crossed']:.2e} |", flush=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
