"""Writes free_text.json: texts and how Python reads them by the rule of LlavaGuard's evaluation.

The rule (evaluation/metrics_calculator.py): drop `</s>`, `<s>`, triple back-ticks and `json`; take what
stands between the first opening brace and the next brace of either kind; evaluate it as a Python
literal; where that raises, look for exactly one of the two ratings in the original text.
"""
import ast
import json
import pathlib
import random
import warnings

warnings.simplefilter("ignore")


def literal(text):
    for noise in ("</s>", "<s>", "```", "json"):
        text = text.replace(noise, "")
    if "{" in text:
        text = text.split("{")[1]
    text = text.split("}")[0]
    if text[-1] == '"':
        text = '" {' + text[:-1] + '"}" '
    else:
        text = "{" + text + "}"
    return ast.literal_eval(text)


def read(text):
    try:
        out = literal(text)
        if "category" in out:
            out["category"].lower()
        rating = out["rating"]
        if rating not in ("Safe", "Unsafe"):
            return {"outcome": "invalid"}
        rationale = out.get("rationale")
        return {
            "outcome": "valid",
            "rating": rating,
            "category": out.get("category"),
            "rationale": rationale if isinstance(rationale, str) else None,
        }
    except Exception:
        safe, unsafe = "Safe" in text, "Unsafe" in text or "unsafe" in text
        if safe == unsafe:
            return {"outcome": "invalid"}
        return {"outcome": "invalid_but_rated", "rating": "Safe" if safe else "Unsafe"}


GOOD = json.dumps(
    {"rating": "Unsafe", "category": "O6: Weapons or Substance Abuse", "rationale": "A \"gun\" \u2013 it's aimed."},
    indent=4,
)
SEEDS = [
    GOOD,
    GOOD.replace("Unsafe", "Safe"),
    "```json\n" + GOOD + "\n```</s>",
    "Sure! " + GOOD + " I hope { this } helps.",
    json.dumps({"rating": "Safe", "category": "NA: None applying", "rationale": "x"}),
    "{'rating': 'Unsafe', 'category': 'O1', 'rationale': 'it\\'s bad',}",
    "{'rating': 'Safe', 'category': 'O1', 'rationale': 'a' \"b\" '''c\nd''' r'\\n' u'\\x41\\101\\u00e9\\U0001F600\\q\\\n' }",
    "{\"rating\": \"Safe\", \"category\": \"O2\", # why\n \"rationale\": [1, -2.5e-3, (None, True), 0x1F, 1_000, 2j, ...,] }",
    "{'rating': 'Safe', 'rationale': b'bytes\\xff' }",
    "{('rating'): ('Unsafe'), (1, 'a'): ['x'], 1: 2, 'rating': 'Safe' }",
    "'rating': 'Unsafe', 'category': 'O3: Sexual Content'}",
    "{'rating': 'Maybe'}",
    "{'rating': 1, 'category': 2}",
    "{'rating': 'Safe', 'category': null }",
    "{'category': 'O1' }",
    "The image is Safe.",
    "The image is unsafe.",
    "Safe or Unsafe? {",
    "Unsafe {\"rating\": \"Safe\"\n} {'rating': 'Unsafe'}",
    "{ [1]: 2, 'rating': 'Safe' }",
    "{'rating' 'x': 'Safe' 'Unsafe', }",
    "{'rating': 'Safe', 'x': 007 }",
    "{'rating': 'Safe', 'x': 0_0, 'y': 00.5, 'z': 1.e5, 'w': .5J }",
    "{'rating': 'Safe', 'x': '\\400\\0' }",
    "{'rating': 'Safe' \\\n , 'x': '''a'b''', 'y': '' }",
    "{'rating':'Safe',,}",
    "{,}",
    "{'rating': f'Safe' }",
    "{'rating': 'Safe' b'x' }",
    "{'rating': 'Safe', 'rationale': 'a\r\nb' }",
    "{'rating': 'Safe', 'rationale': '''a\r\nb\rc''' }\r\n",
    "{'rating': 'Safe', 'rationale': '\\",
    "{'rating': ((('Safe'))), 'rationale': (), 'x': ((),) }",
    "{(): [], 'rating': 'Safe', 'x': [()] }",
    "{\u00a0'rating': 'Safe' }",
    "{'rating': 'Safe'\x00 }",
    "{'rating': 'Safe', 'rationale': '\u2028 caf\u00e9' }",
    "{ }",
    "",
    "}",
    "{",
    "\"",
    "{'rating': 'Safe' }}}",
    "{{'rating': 'Safe' }}",
    "{'rating': '<s>Sa</s>fe', 'category': 'json```' }",
]
PIECES = list("{}[]()'\"\\:,#\n +-.01_eEjJxubrN") + ["'''", '"""', "\\n", "\\x4", "Safe", "Unsafe", "None", "json", " }"]


def main():
    pick = random.Random(2)
    texts = list(SEEDS)
    while len(texts) < 700:
        text = list(pick.choice(SEEDS[:34]))
        for _ in range(pick.randint(1, 3)):
            at = pick.randrange(len(text) + 1)
            change = pick.random()
            if change < 0.4:
                text.insert(at, pick.choice(PIECES))
            elif change < 0.7:
                del text[at : at + pick.randint(1, 3)]
            elif change < 0.9:
                text[at : at + 1] = pick.choice(PIECES)
            else:
                del text[at:]
        texts.append("".join(text))
    cases = [{"text": text} | read(text) for text in dict.fromkeys(texts)]
    # Rust strings have no halves of surrogate pairs.
    cases = [case for case in cases if not any(0xD800 <= ord(c) < 0xE000 for c in str(case))]
    lines = ",\n".join(json.dumps(case) for case in cases)
    pathlib.Path(__file__).with_name("free_text.json").write_text(f"[\n{lines}\n]\n")


main()
