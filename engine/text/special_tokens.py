"""The strings that stand for special tokens, and how user text is kept from ever meaning one.

Owns: the escape. A noncharacter, which no text may contain (Unicode 15, section 23.7), is put into
every special string that a message spells out; text is split there before it is encoded, so the
pieces can only become ordinary tokens. Does not know: the tokenizer, templates.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

SPLIT = "\ufdd0"
REPLACEMENT = "\ufffd"

_SURROGATE = re.compile("[\ud800-\udfff]")


class AddedToken(NamedTuple):
    """A string that the tokenizer takes as one token wherever it stands.

    is_special: it steers the model and is left out of decoded text; `<think>` of Qwen3 is not.
    """

    id: int
    is_special: bool


def read_added_tokens(model_dir: Path) -> dict[str, AddedToken]:
    """Added tokens by string, from tokenizer_config.json or tokenizer.json in `model_dir`."""
    config = _read_json(model_dir / "tokenizer_config.json")
    if decoder := config.get("added_tokens_decoder"):
        return {t["content"]: AddedToken(int(i), _is_special(t)) for i, t in decoder.items()}
    added = _read_json(model_dir / "tokenizer.json").get("added_tokens", [])
    return {t["content"]: AddedToken(int(t["id"]), _is_special(t)) for t in added}


def _is_special(token: dict[str, Any]) -> bool:
    return bool(token.get("special", True))


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


class Escape:
    """Splits special strings inside text that people or the model wrote."""

    def __init__(self, special_strings: Sequence[str]) -> None:
        single = [string for string in special_strings if len(string) == 1]
        # One character for one, so that offsets into the text stay what they are.
        self._replaced = dict.fromkeys(map(ord, [SPLIT, *single]), REPLACEMENT)
        longer = sorted((s for s in special_strings if len(s) > 1), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longer))) if longer else None

    def __call__(self, text: str) -> str:
        """`text` with a SPLIT inside every special string, and none of its own.

        What no tokenizer could read (halves of surrogate pairs) becomes U+FFFD.
        """
        text = _SURROGATE.sub(REPLACEMENT, text.translate(self._replaced))
        while self._pattern is not None and self._pattern.search(text):
            text = self._pattern.sub(lambda match: match[0][0] + SPLIT + match[0][1:], text)
        return text


def escaped_offsets(escaped: str, offsets: Sequence[int]) -> list[int]:
    """Offsets into a text as offsets into its escaped form."""
    splits = [i - n for n, i in enumerate(i for i, c in enumerate(escaped) if c == SPLIT)]
    return [offset + bisect_left(splits, offset) for offset in offsets]


def plain_offsets(escaped: str, offsets: Sequence[int]) -> list[int]:
    """Offsets into the escaped form of a text as offsets into the text."""
    splits = [i for i, c in enumerate(escaped) if c == SPLIT]
    return [offset - bisect_left(splits, offset) for offset in offsets]
