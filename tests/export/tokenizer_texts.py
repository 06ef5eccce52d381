"""Texts that tell tokenizers apart, and a runner for compiled tokenizers.

Shared by the tokenizer tests. The runner uses openvino alone, as the engine does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import openvino as ov
import openvino_tokenizers  # noqa: F401  registers its operations before the first ov.Core()

FRAGMENTS = (
    *("a", "B", "the", "ing", " world", "soprano", "people", "HTTPServer", "straße", "Привет", "ñ"),
    *(" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\u3000", "\xa0", "\x0b", "\x85", "\u2028"),
    *("0", "12", "345", "1234567", "٣", "Ⅳ", "½", "²", "'s", "'LL", "’t", "'ſ", "don't"),
    *(
        "你好",
        "世界",
        "，",
        "。",
        "「」",
        "の",
        "カタカナ",
        "한국",
        "안녕",
        "ไทย",
        "עברית",
        "हिन्दी",
    ),
    *(
        "👍",
        "👍🏽",
        "👨‍👩‍👧",
        "🇨🇳",
        "\u200d",
        "\u200b",
        "\ufeff",
        "e\u0301",
        "ﬁ",
        "Å",
        "𝔘",
        "\U000e0001",
    ),
    *(
        "\x00",
        "\x01",
        "\x7f",
        "\ufffd",
        "▁",
        "Ġ",
        "_",
        "$",
        "--",
        "...",
        "!!",
        "`",
        "<br>",
        "&amp;",
    ),
    *("def f(x):\n    return x\n", "https://a.b/c?d=e#f", "{'k': [1, 2]}", "a=b;", "\\n", "C:\\x"),
)
HAND_MADE = (
    *("", " ", "  ", "\n", "\r\n", "a", " a", "a ", "  a  ", "\na", "a\n", "hello world", " hello"),
    *("a  5", "x   12 y", "\r\n  0", "\t\t7", "3.14", "1,234,567", "2 + 2 = 4", "a\u0000b"),
    *(
        "你好，世界！",
        "今天天气怎么样？",
        "中文 and English 混排",
        "日本語とカタカナ",
        "👨‍👩‍👧‍👦 family",
    ),
    *(
        "if x:\n\tpass\r\n",
        "    indented",
        "trailing   ",
        "UPPER lower Title",
        "it's they'll WE'RE",
    ),
    *("a" * 3000, " " * 3000, "word " * 2000, "你好" * 2500, "ab \n" * 800),
)


def texts(count: int, extra: Sequence[str] = ()) -> list[str]:
    """`count` texts: the hand-made ones, then joined fragments (`extra` ones too), seeded."""
    rng = random.Random(20260)
    fragments = [*FRAGMENTS, *extra]
    made = ["".join(rng.choices(fragments, k=rng.randint(1, 24))) for _ in range(count)]
    # A string tensor made in Python loses the zero characters at its end.
    return [*HAND_MADE, *(text.rstrip("\0") for text in made)][:count]


class CompiledPair:
    """The compiled tokenizer and detokenizer of a model directory."""

    def __init__(self, folder: Path) -> None:
        core = ov.Core()
        options = {"INFERENCE_NUM_THREADS": 1}
        self._encode, self._decode = (
            core.compile_model(folder / f"openvino_{name}.xml", "CPU", options)
            for name in ("tokenizer", "detokenizer")
        )

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._encode(ov.Tensor([text]))["input_ids"][0].tolist()
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        tokens = np.array(ids, np.int64).reshape(1, -1)
        return str(self._decode(tokens)["string_output"][0])


def assert_same(
    compiled: CompiledPair,
    corpus: Sequence[str],
    encode: Callable[[str], list[int]],
    decode: Callable[[list[int]], str],
) -> None:
    """Ids and text equal the reference's on every text."""
    assert len(corpus) > 300
    for text in corpus:
        ids = encode(text)
        assert compiled.encode(text) == ids, f"ids of {text[:200]!r}"
        assert compiled.decode(ids) == decode(ids).rstrip("\0"), f"text of {text[:200]!r}"
