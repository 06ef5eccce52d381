"""Texts on which a compiled tokenizer is held against its tokenizer.json.

They cover every script that Unicode knows, what prose and programs are made of, and every added token
between letters, white space and other tokens. Pure, and the same on every machine.
"""

from __future__ import annotations

import random
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CONTROL = ("Cn", "Co", "Cs")  # unassigned, private, halves of pairs
_BLOCK, _TAKEN = 64, 10
_LAST_SCRIPT = 0x20000  # beyond are rare ideographs and tags
_FRAGMENTS = (
    *("word", " word", "Word", "WORDS", "don't", "WE'LL", "'s", "\u2019t", "snake_case", "x1", "é"),
    *(" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\u3000", "\xa0", "\x0b", "\x85", "\u2028"),
    *("0", "12", "345", "1234567", "3.14", "1,000", "٣", "Ⅳ", "½", "²", "2026-01-31", "0x0A"),
    *(
        "你好",
        "，世界。",
        "の",
        "カタカナ",
        "한국어",
        "ไทย",
        "עברית",
        "हिन्दी",
        "عربى",
        "Việt",
        "Ελλ",
    ),
    *(
        "👍🏽",
        "👨\u200d👩\u200d👧",
        "🇨🇳",
        "e\u0301",
        "ﬁ",
        "Å",
        "𝔘",
        "İ",
        "ſ",
        "ß",
        "\ufeff",
        "\u180e",
    ),
    *(
        "\x00",
        "\x01",
        "\x7f",
        "\ufffd",
        "▁",
        "Ġ",
        "<0x0A>",
        "##",
        "@@",
        "</w>",
        "<s",
        "[INST",
        "|>",
    ),
    *(
        "def f(x):\n    return x\n",
        "https://a.b/c?d=e#f",
        "{'k': [1, 2]}",
        "a=b;",
        "\\n",
        "$5",
        "`",
    ),
    *("--", "...", "!!", "?!", "(", ")", "<br>", "&amp;", "/", "*", "#", "~", "^", "+", "=", "_"),
)


def texts(special: Sequence[str], count: int = 600) -> list[str]:
    """Texts without a NUL at their end, which OpenVINO's Python tensors lose."""
    rng = random.Random(1)  # noqa: S311  (no secret)
    mixed = ("".join(rng.choices(_FRAGMENTS, k=rng.randint(1, 16))) for _ in range(count))
    return [text.rstrip("\0") for text in (*_FRAGMENTS, *mixed, *_scripts(rng), *_around(special))]


def _scripts(rng: random.Random) -> Iterator[str]:
    """Words of neighbouring characters, in runs, behind a space, and beside Latin ones."""
    for start in range(0xA0, _LAST_SCRIPT, _BLOCK):
        known = [
            chr(code)
            for code in range(start, start + _BLOCK)
            if unicodedata.category(chr(code)) not in _CONTROL
        ]
        if known:
            one, two = ("".join(rng.choices(known, k=_TAKEN)) for _ in range(2))
            yield f"{one} {two}, a{one[:3]}\n{two[:2]}1"


def _around(special: Sequence[str]) -> Iterator[str]:
    for number, token in enumerate(special):
        yield from (token, f"a{token}b", f" {token} \n{token}{special[number - 1]}word")
