"""Writes chrf.json: texts, and their chrF by sacrebleu 2.6.0 with its defaults. python3 chrf.py > chrf.json"""

import json
import random

from sacrebleu.metrics import CHRF

chrf = CHRF()
draw = random.Random(7)
WORDS = "the cat sat on a mat, and then it slept. Größe naïve 日本語 🙂 x\u0085y \ufeffz \x1c- \u3000".split(" ")


def text():
    return " ".join(draw.choice(WORDS) for _ in range(draw.randrange(0, 12)))


def altered(of):
    if draw.random() < 0.2:
        return text()
    letters = list(of)
    for _ in range(draw.randrange(0, 6)):
        at = draw.randrange(len(letters) + 1)
        letters[at : at + draw.randrange(0, 3)] = draw.choice(["", "a", " ", "é", "🙂"])
    return "".join(letters)


pairs = [("", ""), ("a", ""), ("", "a"), ("a", "a"), ("abc", "abc"), ("abcdefg", "abcdefg"), ("ab cd", "abcd"), ("x", "y")]
while len(pairs) < 120:
    reference = text()
    pairs.append((reference, altered(reference)))

groups = [[draw.randrange(len(pairs)) for _ in range(draw.randrange(1, 9))] for _ in range(20)] + [list(range(len(pairs)))]
print(
    json.dumps(
        {
            "sacrebleu": "2.6.0",
            "pairs": [[r, a, chrf.sentence_score(a, [r]).score] for r, a in pairs],
            "corpora": [
                [g, chrf.corpus_score([pairs[i][1] for i in g], [[pairs[i][0] for i in g]]).score] for g in groups
            ],
        },
        ensure_ascii=True,
        separators=(",", ":"),
    )
)
