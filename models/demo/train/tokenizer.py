"""The demo model's tokenizer: byte-level BPE whose merges may span words within a line.

The policy prompt is nearly constant, so lines and phrases of it become single
tokens and the default prompt takes a few hundred tokens. Quotes, `:`, `|`,
angle and curly brackets, digits, newlines, `Safe`, `Unsafe`, `NA` and the `O`
before a digit are always cut off, so that the answer's text is tokenised alike
as a whole and in pieces.
"""

from __future__ import annotations

import argparse
import json
import random
import string
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

import policies
from data import CONCEPTS
from policies import Parts

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
WORDS = r"\b(?:Unsafe|Safe|NA)\b|\bO(?=[0-9])"
RUN = r'(?:(?!' + WORDS + r')[^\n0-9":|<>{}])+\n?'
PATTERN = r'"\|"| (?=- )|(?:Should not|Can):\n|: \n|\n *|[0-9":|<>{}]|' + WORDS + "|" + RUN
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] | trim }}{% endif %}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def corpus(parts: Parts, seed: int = 0):
    """Texts the merges are learned from: policy variants, other policies, answers, plain words."""
    rng = random.Random(seed)
    for i in range(400):
        concept = rng.choice(CONCEPTS)
        categories, _ = policies.vary(parts, concept, rng)
        yield policies.wrapped(parts.prompt(categories))
        yield policies.answer(*policies.verdict(concept, categories), policies.rationale(concept, categories, rng))
    for raw in parts.raw:
        for _ in range(10):
            yield parts.category(raw, "sensitive").text
    others = []
    for name in ("llavaguard-v1.1-prompt.txt", "llavaguard-v1.0-prompt.txt", "eu-prompt.txt", "pegi-parts.json"):
        text = (policies.PARTS.parent / name).read_text(encoding="utf-8")
        others.append(text)
        yield text
    # Single words and letters, so that text no policy holds still gets sensible pieces.
    words = sorted({w for t in [*others, json.dumps(parts.raw)] for w in t.split() if w.isascii()})
    for word in words:
        for form in (word, " " + word, word.lower(), " " + word.lower(), word.capitalize()):
            for _ in range(12):
                yield form
    for char in string.printable:
        yield char


def train(vocabulary: int, longest: int) -> PreTrainedTokenizerFast:
    """Learns the merges; `longest` bounds a token's length in characters."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIALS), initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=longest, show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(Parts()), trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIALS])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>",
                                   clean_up_tokenization_spaces=False, model_max_length=4096)
    fast.chat_template = CHAT_TEMPLATE
    return fast


def check(tokenizer: PreTrainedTokenizerFast) -> None:
    """Fails unless answers tokenise alike whole and in pieces and the ratings are single tokens."""
    parts = Parts()
    encode = lambda t: tokenizer.encode(t, add_special_tokens=False)  # noqa: E731
    rng = random.Random(1)
    names = {c["name"] for c in parts.raw} | {policies.NONE_APPLYING}
    names |= {f"{i}: {n}" for i, all_ in policies.RENAMES.items() for n in all_} | {"O10: Gambling", "O32: Ünusual näme-9"}
    for category in sorted(names):
        for rating in ("Safe", "Unsafe"):
            text = policies.rationale(rng.choice(CONCEPTS), parts.default(), rng)
            pieces = ['{\n    "rating": "', rating, '",\n    "category": "', category, '",\n    "rationale": "', text + '"\n}']
            joined = [i for p in pieces for i in encode(p)]
            if encode("".join(pieces)) != joined or tokenizer.decode(joined) != "".join(pieces):
                raise SystemExit(f"answer with {category} is cut differently in pieces")
            id_, name = category.split(": ", 1)
            if encode(category) != encode(id_) + encode(":") + encode(" " + name):
                raise SystemExit(f"category {category} is cut differently in pieces")
    for word in ("Safe", "Unsafe", "NA", "O"):
        if len(encode(word + "1" if word == "O" else word)) != (2 if word == "O" else 1):
            raise SystemExit(f"{word} is not one token")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--longest", type=int, default=200)
    args = parser.parse_args()
    tokenizer = train(args.vocabulary, args.longest)
    check(tokenizer)
    tokenizer.save_pretrained(args.out)
    parts = Parts()
    prompt = policies.wrapped(parts.prompt(parts.default()))
    ids = tokenizer.encode(prompt, add_special_tokens=False)
    print(f"{len(tokenizer)} tokens in the vocabulary; the default prompt takes {len(ids)}")
    print(" ".join(repr(tokenizer.decode([i])) for i in ids[:120]))


if __name__ == "__main__":
    main()
