"""Evaluation on the held-out groups: JSON file and a table.

Ratings are read as the engine reads them: the answer's start is forced, the
rating is the larger of the two logits, then the category the likeliest of the
policy's. Validity is checked under free greedy generation on a sample.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

import policies
from data import CONCEPTS, Photo, PhotoSet
from export import SKELETON, embed, greedy, image_processor, load, prompt_ids, tiles, visual_tokens
from policies import Parts

# Held-out photos over 64 px without weapons or smoking that show people, found by eye.
PEOPLE = json.loads((Path(__file__).parent / "people.json").read_text(encoding="utf-8"))


@torch.inference_mode()
def next_logits(model, prompts: list[list[int]], visuals: list[torch.Tensor]) -> torch.Tensor:
    """Logits [B, vocabulary] after each prompt; padding stands on the right, where it changes nothing."""
    longest = max(map(len, prompts))
    pad = model.config.text_config.pad_token_id
    ids = torch.tensor([p + [pad] * (longest - len(p)) for p in prompts])
    hidden = model.model.language_model(inputs_embeds=embed(model, ids, torch.cat(visuals)), use_cache=False).last_hidden_state
    last = torch.tensor([len(p) - 1 for p in prompts])
    return model.lm_head(hidden[torch.arange(len(prompts)), last]).float()


class Judge:
    """Rating and category of photos under a policy, in batches."""

    def __init__(self, model, tokenizer, batch: int = 32):
        self.model, self.tokenizer, self.batch = model, tokenizer, batch

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    def rate(self, visuals: list[torch.Tensor], prompts: list[str]) -> list[float]:
        """P(Unsafe) of each photo under its prompt."""
        pair = [self.tokenizer.convert_tokens_to_ids(w) for w in ("Safe", "Unsafe")]
        out: list[float] = []
        for i in range(0, len(visuals), self.batch):
            part = visuals[i:i + self.batch]
            ids = [prompt_ids(self.tokenizer, p, len(v)) + self.encode(SKELETON[0]) for p, v in zip(prompts[i:], part)]
            out += next_logits(self.model, ids, part)[:, pair].softmax(-1)[:, 1].tolist()
        return out

    def categorise(self, visuals: list[torch.Tensor], prompts: list[str], ratings: list[str], ids: list[list[str]]) -> list[str]:
        """Category id, the likeliest among `NA` and the policy's `ids`, which have one digit here."""
        first = {"NA": self.tokenizer.convert_tokens_to_ids("NA"), "O": self.tokenizer.convert_tokens_to_ids("O")}
        out: list[str] = []
        for i in range(0, len(visuals), self.batch):
            part = visuals[i:i + self.batch]
            heads = [prompt_ids(self.tokenizer, p, len(v)) + self.encode(SKELETON[0]) + self.encode(r) + self.encode(SKELETON[1])
                     for p, v, r in zip(prompts[i:], part, ratings[i:])]
            some = next_logits(self.model, heads, part)[:, [first["NA"], first["O"]]].argmax(-1).bool().tolist()
            found = ["NA"] * len(part)
            named = [k for k, is_o in enumerate(some) if is_o]
            if named:
                rows = next_logits(self.model, [heads[k] + [first["O"]] for k in named], [part[k] for k in named])
                for k, row in zip(named, rows):
                    numbers = [self.tokenizer.convert_tokens_to_ids(c[1]) for c in ids[i + k]]
                    found[k] = ids[i + k][int(row[numbers].argmax())]
            out += found
        return out


def balanced(scores: list[float], photos: list[Photo]) -> dict[str, float]:
    """True-positive and true-negative rate and their mean at P(Unsafe) = 0.5; positive is Unsafe."""
    positive = [s > 0.5 for s, p in zip(scores, photos) if p.category != "NA"]
    negative = [s <= 0.5 for s, p in zip(scores, photos) if p.category == "NA"]
    tpr, tnr = sum(positive) / len(positive), sum(negative) / len(negative)
    return {"photos": len(photos), "tpr": round(tpr, 4), "tnr": round(tnr, 4), "balanced_accuracy": round((tpr + tnr) / 2, 4)}


def auc(scores: list[float], photos: list[Photo]) -> float:
    """Area under the ROC curve (Mann-Whitney)."""
    order = torch.tensor(scores).argsort().argsort().double() + 1
    unsafe = torch.tensor([p.category != "NA" for p in photos])
    n, m = int(unsafe.sum()), int((~unsafe).sum())
    return round(float((order[unsafe].sum() - n * (n + 1) / 2) / (n * m)), 4)


def valid(text: str, labels: list[str]) -> bool:
    """Whether a generated answer is the JSON object that was asked for."""
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    return (list(answer) == ["rating", "category", "rationale"] and answer["rating"] in ("Safe", "Unsafe")
            and answer["category"] in [*labels, policies.NONE_APPLYING] and isinstance(answer["rationale"], str) and bool(answer["rationale"]))


def evaluate(detail: str, args: argparse.Namespace) -> dict:
    """All figures at one detail."""
    torch.set_num_threads(max(1, args.threads // 2))
    source, rng = PhotoSet(args.photos), random.Random(0)
    held = source.side(validation=True)
    lowres = [p for p in held if not p.hires]
    held = [p for p in held if p.hires] + rng.sample(lowres, min(args.lowres, len(lowres)))
    if args.limit:
        held = rng.sample(held, min(args.limit, len(held)))
    model, tokenizer = load(args.model)
    processor, parts, judge = image_processor(), Parts(), Judge(model, tokenizer)
    default = parts.default()
    ids = [c.id for c in default]
    prompt = parts.prompt(default)
    exempt = {i: parts.prompt(policies.non_violating(parts, default, {i})) for i in ("O6", "O9")}
    seen = []
    with torch.inference_mode():
        for photo in held:
            image = source.image(photo)
            seen.append(visual_tokens(model, tiles(processor, image, detail), (image.height, image.width)))
    scores = judge.rate(seen, [prompt] * len(held))
    share = lambda hits: {"photos": len(hits), "rate": round(sum(hits) / max(1, len(hits)), 4)}  # noqa: E731
    alarms = lambda rows: share([scores[i] > 0.5 for i in rows])  # noqa: E731
    where = lambda test: [i for i, p in enumerate(held) if test(p)]  # noqa: E731

    over = where(lambda p: p.hires)
    unsafe = where(lambda p: p.category != "NA")
    unsafe = rng.sample(unsafe, min(args.sample, len(unsafe)))
    excepted = dict(zip(unsafe, judge.rate([seen[i] for i in unsafe], [exempt[held[i].category] for i in unsafe])))
    # An exception for another category must change nothing: photos rated Unsafe stay so.
    caught = [i for i in unsafe if scores[i] > 0.5]
    other = caught[: args.sample // 2]
    foreign = judge.rate([seen[i] for i in other], [exempt["O9" if held[i].category == "O6" else "O6"] for i in other])
    named = rng.sample(over, min(args.sample, len(over)))
    categories = judge.categorise([seen[i] for i in named], [prompt] * len(named),
                                  ["Unsafe" if scores[i] > 0.5 else "Safe" for i in named], [ids] * len(named))
    sources = ("clothing-dataset-small", "GroceryStoreDataset", "BSDS500", "imagenet-sample-images", "tiny COCO",
               "smoking-detection", "FIRE dataset", "Tiny ImageNet")
    entry = {
        "all": balanced(scores, held),
        "over_64_px": balanced([scores[i] for i in over], [held[i] for i in over]) | {"auc": auc([scores[i] for i in over], [held[i] for i in over])},
        "per": share([excepted[i] <= 0.5 for i in unsafe]),
        "per_on_caught": share([excepted[i] <= 0.5 for i in caught]),
        "foreign_exception_keeps_unsafe": share([s > 0.5 for s in foreign]),
        "category_over_64_px": share([c == held[i].category for c, i in zip(categories, named)]),
        "false_alarms_people": alarms(where(lambda p: p.file in PEOPLE)),
        "rated_unsafe_by_concept": {c: alarms(where(lambda p: p.concept == c)) for c in CONCEPTS},
        "rated_unsafe_by_neutral_source": {n: alarms(where(lambda p: p.category == "NA" and n in p.source)) for n in sources},
    }
    good = agree = 0
    chosen, examples = rng.sample(range(len(held)), min(args.free, len(held))), []
    for n, i in enumerate(chosen):
        variant, kind = policies.vary(parts, held[i].concept, rng, None if n % 2 else "default")
        text, _ = greedy(model, tokenizer, seen[i], parts.prompt(variant))
        ok = valid(text, [c.label for c in variant])
        good += ok
        agree += ok and json.loads(text)["rating"] == policies.verdict(held[i].concept, variant)[0]
        if n < 8 or not ok:
            examples.append({"file": held[i].file, "policy": kind, "answer": text})
    entry["free_generation"] = {"photos": len(chosen), "valid": good, "rating_right": agree, "examples": examples}
    print(f"{detail}: {json.dumps({k: v for k, v in entry.items() if k != 'free_generation'})}", flush=True)
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", required=True)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path, help="JSON file")
    parser.add_argument("--limit", type=int, default=0, help="photos at most, 0 for all")
    parser.add_argument("--lowres", type=int, default=300, help="64 px photos at most")
    parser.add_argument("--sample", type=int, default=500, help="photos at most for PER and categories")
    parser.add_argument("--free", type=int, default=60, help="photos for free generation")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    started = time.time()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        runs = {detail: pool.submit(evaluate, detail, args) for detail in ("low", "high")}
        result: dict = {"threshold": 0.5, **{detail: run.result() for detail, run in runs.items()}}
    result["seconds"] = round(time.time() - started)
    args.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print_table(result)


def print_table(result: dict) -> None:
    """The card's table: one row a measure, one column a detail."""
    print("| measure | low | high |\n|---|---|---|")
    rows = [("balanced accuracy, over 64 px", ("over_64_px", "balanced_accuracy")), ("TPR / recall, over 64 px", ("over_64_px", "tpr")),
            ("TNR, over 64 px", ("over_64_px", "tnr")), ("AUC, over 64 px", ("over_64_px", "auc")), ("balanced accuracy, all", ("all", "balanced_accuracy")),
            ("policy exception rate (PER)", ("per", "rate")), ("PER on photos rated Unsafe by default", ("per_on_caught", "rate")),
            ("stays Unsafe when another category is excepted", ("foreign_exception_keeps_unsafe", "rate")),
            ("category accuracy, over 64 px", ("category_over_64_px", "rate")), ("false alarms, people", ("false_alarms_people", "rate"))]
    rows += [(f"rated Unsafe: {c}", ("rated_unsafe_by_concept", c, "rate")) for c in result["low"]["rated_unsafe_by_concept"]]
    rows += [(f"false alarms: {s}", ("rated_unsafe_by_neutral_source", s, "rate")) for s in result["low"]["rated_unsafe_by_neutral_source"]]
    for name, path in rows:
        cells = []
        for detail in ("low", "high"):
            value = result[detail]
            for key in path:
                value = value[key]
            cells.append(f"{value:.3f}")
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
