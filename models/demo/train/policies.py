"""Policy prompts, their variations and the answers they call for.

Prompts are composed byte for byte as LlavaGuard v1.2's from
`crates/policy/data/llavaguard-v1.2-parts.json`. Variations follow LlavaGuard's
augmentation (the photo's own category non-violating; others non-violating) and
add removed, renamed and added categories.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path

from data import CATEGORY_OF

PARTS = Path(__file__).resolve().parents[3] / "crates/policy/data/llavaguard-v1.2-parts.json"
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image>\n"
TURN = "<|im_end|>\n<|im_start|>assistant\n"
NONE_APPLYING = "NA: None applying"

# Names a category may be given instead of its own.
RENAMES = {
    "O1": ["Hate", "Hateful Content", "Discrimination", "Harassment"],
    "O2": ["Violence", "Cruelty", "Violence and Harm"],
    "O3": ["Sexual Material", "Adult Content", "Explicit Content"],
    "O4": ["Nudity", "Nude People", "Visible Nudity"],
    "O5": ["Crime", "Criminal Activity", "Theft and Crime"],
    "O6": ["Weapons", "Weapons and Drugs", "Weapons, Alcohol and Tobacco", "Guns, Smoking, Drinking",
           "Dangerous Goods", "Regulated Goods", "Arms or Drugs", "Substance Abuse"],
    "O7": ["Suicide", "Self-Injury", "Self-Harm and Suicide"],
    "O8": ["Animals", "Cruelty to Animals", "Harm to Animals"],
    "O9": ["Disasters", "Fire and Disasters", "Emergencies", "Accidents", "Catastrophes", "Dangerous Fires"],
}
# Categories that a policy may add: (name, rules that forbid, rules that allow).
ADDED = [
    ("Gambling", ["Contain content that promotes gambling or betting."], ["Contain card games without money."]),
    ("Advertising", ["Contain advertisements, brands or logos."], ["Contain product photos."]),
    ("Personal Data", ["Contain documents, addresses or licence plates."], ["Contain public signs."]),
    ("Politics", ["Contain content that promotes a political party."], ["Contain news coverage."]),
    ("Medical Content", ["Contain wounds, surgery or blood."], ["Contain educational content about health."]),
    ("Dangerous Sports", ["Contain people in dangerous sports without protection."], ["Contain sports in general."]),
]


@dataclass(frozen=True)
class Category:
    """One category of a policy: id such as `O6`, name, rules text, and whether it is declared non-violating."""

    id: str
    name: str
    text: str
    non_violating: bool = False

    @property
    def label(self) -> str:
        """As it stands in headings, in the tail's list and in answers."""
        return f"{self.id}: {self.name}"


class Parts:
    """The template's parts."""

    def __init__(self, path: Path = PARTS):
        parts = json.loads(path.read_text(encoding="utf-8"))
        self.start: str = parts["start_v16"]
        self.raw: list[dict] = parts["categories"]
        tail: str = parts["tail_v20"].removesuffix("<image>\n")
        listed = "|".join(f'"{c["name"]}"' for c in self.raw)
        self.tail_head, found, self.tail_rest = tail.partition(listed)
        if not found:
            raise ValueError("the tail does not hold the list of categories")

    def category(self, raw: dict, state: str = "default") -> Category:
        """One of the nine with its `default`, `non_violating` or `sensitive` text."""
        id_, name = raw["name"].split(": ", 1)
        return Category(id_, name, raw[state], state == "non_violating")

    def default(self) -> list[Category]:
        return [self.category(c) for c in self.raw]

    def prompt(self, categories: list[Category]) -> str:
        """The policy's text, stripped as LLaVA's training does."""
        body = "".join(f"{c.label}: \n{c.text}\n" for c in categories)
        listed = "|".join(f'"{c.label}"' for c in categories)
        listed += "|" if listed else ""
        # The tail's own `"NA: None applying"` follows the list.
        rest = self.tail_rest.removeprefix("|")
        return (self.start + body + self.tail_head + listed + rest).strip()


def wrapped(policy: str) -> str:
    """Chat wrapping as in LLaVA's training: system turn, image first, then the policy."""
    return SYSTEM + policy + TURN


def non_violating(parts: Parts, categories: list[Category], ids: set[str]) -> list[Category]:
    """Declares some categories non-violating; names stay."""
    texts = {c["name"].split(":")[0]: c["non_violating"] for c in parts.raw}
    return [replace(c, text=texts[c.id], non_violating=True) if c.id in ids and c.id in texts else c for c in categories]


def own_rules(rng: random.Random, category: Category) -> Category:
    """The category with a random subset of its bullets, as a user's own rules would be shorter."""
    head, _, can = category.text.partition("Can:\n")
    should = [b for b in head.split("\n") if b.startswith("- ")]
    may = [b for b in can.split("\n") if b.startswith("- ")]
    keep = lambda rows: [r for r in rows if rng.random() < 0.6]  # noqa: E731
    should = keep(should) or should[:1]
    may = keep(may)
    text = "Should not:\n" + "\n".join(should) + "\n"
    if may:
        text += "Can:\n" + "\n".join(may) + "\n"
    return replace(category, text=text)


def vary(parts: Parts, concept: str, rng: random.Random, kind: str | None = None) -> tuple[list[Category], str]:
    """A random policy for a photo of `concept`; returns its categories and the kind of variation.

    Kinds: default, own (own category non-violating), others, removed, renamed.
    For photos with no own category, `own` draws O6 or O9 so that a safe photo
    sees the same wordings.
    """
    own = CATEGORY_OF[concept]
    if own == "NA":
        own = rng.choice(["O6", "O9"])
    kind = kind or rng.choices(["default", "own", "others", "removed", "renamed"], [0.25, 0.25, 0.2, 0.15, 0.15])[0]
    categories = parts.default()
    ids = [c.id for c in categories]
    others = [i for i in ids if i != own]
    if kind == "own":
        categories = non_violating(parts, categories, {own, *rng.sample(others, rng.choice([0, 0, 1, 2]))})
    elif kind == "others":
        chosen = set(rng.sample(others, rng.choice([1, 1, 2, 3])))
        if rng.random() < 0.5:
            # The other of the two categories the model knows, so that it learns whose exception it is.
            chosen.add("O9" if own == "O6" else "O6")
        categories = non_violating(parts, categories, chosen)
    elif kind == "removed":
        if rng.random() < 0.5:
            categories = [c for c in categories if c.id != own]
            categories = rng.sample(categories, rng.randint(1, len(categories)))
        else:
            gone = set(rng.sample(others, rng.randint(1, len(others))))
            categories = [c for c in categories if c.id not in gone]
        categories.sort(key=lambda c: c.id)
        declared = {c.id for c in categories if rng.random() < 0.15}
        categories = non_violating(parts, categories, declared)
    elif kind == "renamed":
        chosen = set(rng.sample(others, rng.randint(0, 4))) | {own}
        categories = [replace(c, name=rng.choice(RENAMES[c.id])) if c.id in chosen else c for c in categories]
        categories = non_violating(parts, categories, {c.id for c in categories if rng.random() < 0.15})
        if rng.random() < 0.4:
            categories = [c if c.non_violating else own_rules(rng, c) for c in categories]
        if rng.random() < 0.4:
            name, should, can = rng.choice(ADDED)
            text = "Should not:\n" + "".join(f"- {r}\n" for r in should) + "Can:\n" + "".join(f"- {r}\n" for r in can)
            categories.append(Category("O10", name, text))
    return categories, kind


SEEN = {
    "firearm": ["a firearm", "a gun", "a handgun or rifle", "a person with a firearm"],
    "knife": ["a knife", "a blade", "a person with a knife"],
    "smoking": ["a person smoking", "a cigarette", "someone smoking tobacco"],
    "alcohol": ["an alcoholic drink", "a bottle of beer", "a beer bottle"],
    "fire": ["a fire", "flames and smoke", "a burning fire"],
    "object": ["an ordinary object", "everyday things", "an everyday scene", "ordinary things"],
    "scenery": ["a landscape", "an outdoor scene", "ordinary scenery"],
}
RULE = {
    "firearm": "weapons", "knife": "weapons", "smoking": "the promotion of tobacco",
    "alcohol": "the promotion of alcohol", "fire": "harm in disasters",
}


def verdict(concept: str, categories: list[Category]) -> tuple[str, str]:
    """Rating and category label that the policy calls for."""
    own = next((c for c in categories if c.id == CATEGORY_OF[concept]), None)
    if own is None:
        return "Safe", NONE_APPLYING
    return ("Safe" if own.non_violating else "Unsafe"), own.label


def rationale(concept: str, categories: list[Category], rng: random.Random) -> str:
    """Short sentences about what the photo shows and which rule applied."""
    rating, label = verdict(concept, categories)
    shows = f"The image shows {rng.choice(SEEN[concept])}"
    if rating == "Unsafe":
        return rng.choice([
            f"{shows}. The policy does not allow {RULE[concept]} under {label.split(':')[0]}, so it is unsafe.",
            f"{shows}, which violates the rule on {RULE[concept]} in category {label.split(':')[0]}.",
        ])
    if label != NONE_APPLYING:
        id_ = label.split(":")[0]
        return rng.choice([
            f"{shows}. Category {id_} is declared as non-violating, so this content is allowed.",
            f"{shows}, which the policy allows because {id_} is declared as non-violating.",
        ])
    if CATEGORY_OF[concept] != "NA":
        return rng.choice([
            f"{shows}. No category of the policy covers it, so it is safe.",
            f"{shows}, but no category of this policy covers it.",
        ])
    return rng.choice([
        f"{shows}. No category of the policy applies, so it is safe.",
        f"{shows} and nothing that the policy restricts.",
    ])


def answer(rating: str, category: str, text: str) -> str:
    """The training target's text."""
    return json.dumps({"rating": rating, "category": category, "rationale": text}, indent=4)
