"""How often a text file is read right, whatever charset it is in: `python -m bench charsets`.

Texts of 8 to 100,000 characters as they are, with a bad byte, cut within a character, and as source code with
comments. Right is what the true charset makes of the same bytes; unsure is what the page asks about. Looks inside
the page's files: charsets are theirs alone.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.charset_texts import CODE, SENTENCES
from web.files.charsets import read_as, read_text

LENGTHS = (8, 12, 16, 24, 40, 80, 200, 1000, 10_000, 100_000)
ROUNDS = {length: 20 if length <= 1000 else 2 for length in LENGTHS}
CHARSETS = {
    "gb18030": ("zh-CN",),
    "cp950": ("zh-TW",),
    "cp932": ("ja",),
    "euc_jp": ("ja",),
    "cp949": ("ko",),
    "cp1252": ("de", "fr", "es"),
    "utf-16-le": tuple(SENTENCES),
    "utf-16-be": tuple(SENTENCES),
    "utf-8": tuple(SENTENCES),
}

Damage = Callable[[bytes, random.Random], bytes]


def run(_model_dir: Path) -> dict[str, Any]:
    """Measure each charset; no model takes part."""
    chance = random.Random(7)
    shares = {charset: _measure(charset, chance) for charset in CHARSETS}
    print(f"{'':12}" + "".join(f"{name:>10}" for name in (*DAMAGES, "code", "all", "unsure")))
    for charset, found in shares.items():
        print(f"{charset:12}" + "".join(f"{share:10.1%}" for share in found.values()))
    return {"charsets": shares, "lengths": LENGTHS}


def _measure(charset: str, chance: random.Random) -> dict[str, float]:
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for name, raw in _files(charset, chance):
        reading = read_text(raw)
        for key in (name, "all"):
            total[key] += 1
            right[key] += reading.text == read_as(raw, charset)
        right["unsure"] += bool(reading.choices)
    total["unsure"] = total["all"]
    return {key: right[key] / total[key] for key in (*DAMAGES, "code", "all", "unsure")}


def _files(charset: str, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    for language in CHARSETS[charset]:
        for length, rounds in ROUNDS.items():
            for _ in range(rounds):
                raw = _text(language, length, chance).encode(charset)
                for name, damage in DAMAGES.items():
                    yield name, damage(raw, chance)
        for _ in range(ROUNDS[LENGTHS[0]]):
            comment = _text(language, chance.choice((8, 20)), chance)
            parts = [CODE.format(name=f"name{i}", comment="") for i in range(chance.randrange(30))]
            yield "code", "".join([*parts, CODE.format(name="x", comment=comment)]).encode(charset)


def _text(language: str, length: int, chance: random.Random) -> str:
    """From anywhere in some sentence on; at least one character of it is beside ASCII."""
    sentences = SENTENCES[language].split("\n")
    while True:
        first = chance.choice(sentences)
        text = first[chance.randrange(len(first)) :]
        while len(text) < length:
            text += "\n" + chance.choice(sentences)
        if not text[:length].isascii():
            return text[:length]


def _whole(raw: bytes, _chance: random.Random) -> bytes:
    return raw


def _with_a_bad_byte(raw: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(raw))
    return raw[:at] + b"\xff" + raw[at + 1 :]


def _cut(raw: bytes, _chance: random.Random) -> bytes:
    return raw[:-1]


DAMAGES: dict[str, Damage] = {"whole": _whole, "bad byte": _with_a_bad_byte, "cut": _cut}
