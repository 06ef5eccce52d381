r"""What OpenVINO's BPE operation is told so that it cuts words as the tokenizers library does.

The operation starts from the longest strings of its vocabulary that no merge makes, and knows neither
whole pieces (`ignore_merges`) nor byte pieces. Therefore its vocabulary is not the model's:

- It holds single symbols and what merges make. Other pieces, which no text may reach, are HIDDEN.
- A byte piece such as <0x0A> stands there as that byte, so that its spelling in a text is text.
- Where whole words are looked up first, or where white space could turn into an added token, each word is
  put between two MARKs. Words that the merges would not make, and added tokens, stand there with their
  marks, and so does every symbol, with the id that it has without.

Pure: knows tokenizer.json, not OpenVINO.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenizers import models

from export.tokenizers.pieces import SPACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tokenizers import Tokenizer

# A noncharacter, which no text may contain (Unicode 15, section 23.7); the engine takes it out of texts.
MARK = "\ufdd0"
HIDDEN = b"\xff\xff"  # in no UTF-8 text
_MARK = MARK.encode()
_Merge = tuple[str, str]


class BpeSymbols(NamedTuple):
    """Inputs of the operation: `strings` by id, `merges` by rank, more strings for ids.

    is_marked: words come between MARKs. unk_token: the text among `more` that stands for what no
    symbol covers; empty where symbols cover everything.
    """

    strings: list[bytes]
    merges: list[tuple[bytes, bytes]]
    more: dict[bytes, int]
    is_marked: bool
    unk_token: str


def bpe_symbols(tokenizer: Tokenizer) -> BpeSymbols | None:
    """The symbols of a BPE tokenizer; None for other models, and for words with affixes."""
    content = json.loads(tokenizer.to_str())
    model = content["model"]
    if model["type"] != "BPE" or model["continuing_subword_prefix"] or model["end_of_word_suffix"]:
        return None
    added = {token["content"]: int(token["id"]) for token in content["added_tokens"]}
    return _Builder(model, added, is_byte_level=_is_byte_level(content["pre_tokenizer"])).build()


class _Builder:
    """Turns the model of a tokenizer.json into the operation's inputs."""

    def __init__(
        self, model: Mapping[str, Any], added: Mapping[str, int], *, is_byte_level: bool
    ) -> None:
        self._model, self._added, self._is_byte_level = model, added, is_byte_level
        self._vocab: dict[str, int] = model["vocab"]
        self._merges = _usable([(left, right) for left, right in model["merges"]], self._vocab)

    def build(self) -> BpeSymbols:
        singles = self._singles()
        whole = self._whole_words() if self._model["ignore_merges"] else {}
        more = {text.encode(): index for text, index in self._added.items()}
        unk = "" if self._covers_everything(singles) else self._model["unk_token"] or ""
        is_marked = bool(whole) or self._spaces_become_added_tokens()
        if is_marked:
            more = {_marked(text): index for text, index in more.items()}
            more |= {_marked(word): index for word, index in whole.items()}
            for symbol, index in singles.items():
                ways = (_MARK + symbol, symbol + _MARK, _marked(symbol))
                more |= dict.fromkeys(ways, index)
        if unk:
            more[unk.encode()] = self._vocab.get(unk, self._added.get(unk, 0))
        return BpeSymbols(self._strings(singles), self._raw_merges(), more, is_marked, unk)

    def _spaces_become_added_tokens(self) -> bool:
        """Whether there are some of the sign that stands for spaces; as words they are no such token."""
        return not self._is_byte_level and any(SPACE in text for text in self._added)

    def _singles(self) -> dict[bytes, int]:
        """What a word is made of before any merge."""
        found = {
            raw: index
            for piece, index in self._vocab.items()
            if len(piece) == 1 and (raw := self._raw(piece)) is not None
        }
        if self._model["byte_fallback"]:
            for byte in range(256):
                if (index := self._vocab.get(f"<0x{byte:02X}>")) is not None:
                    found.setdefault(bytes([byte]), index)
        return found

    def _strings(self, singles: Mapping[bytes, int]) -> list[bytes]:
        size = 1 + max([*self._vocab.values(), *self._added.values()], default=-1)
        strings = [HIDDEN] * size
        for symbol, index in singles.items():
            strings[index] = symbol
        for piece in {left + right for left, right in self._merges}:
            strings[self._vocab[piece]] = self._raw(piece) or HIDDEN
        return strings

    def _raw_merges(self) -> list[tuple[bytes, bytes]]:
        raw = ((self._raw(left), self._raw(right)) for left, right in self._merges)
        return [(left, right) for left, right in raw if left is not None and right is not None]

    def _whole_words(self) -> dict[bytes, int]:
        """Pieces that are one token as a whole word, which merges would make of other tokens."""
        model = models.BPE(
            vocab=self._vocab,
            merges=self._merges,
            unk_token=self._model["unk_token"],
            fuse_unk=self._model["fuse_unk"],
            byte_fallback=self._model["byte_fallback"],
        )
        return {
            raw: index
            for piece, index in self._vocab.items()
            if len(piece) > 1
            and (raw := self._raw(piece)) is not None
            and [token.id for token in model.tokenize(piece)] != [index]
        }

    def _covers_everything(self, singles: Mapping[bytes, int]) -> bool:
        if self._is_byte_level or self._model["byte_fallback"]:
            return all(bytes([byte]) in singles for byte in range(256))
        return False

    def _raw(self, piece: str) -> bytes | None:
        """A piece as bytes of text; None for one that cannot occur in a text."""
        if not self._is_byte_level:
            return piece.encode()
        letters = _byte_letters()
        if not all(letter in letters for letter in piece):
            return None
        return bytes(letters[letter] for letter in piece)


def _usable(merges: list[_Merge], vocab: Mapping[str, int]) -> list[_Merge]:
    """Without merges of pieces that nothing makes, which the operation does not take."""
    while True:
        made = {left + right for left, right in merges}
        usable = [
            merge
            for merge in merges
            if all((len(part) == 1 and part in vocab) or part in made for part in merge)
        ]
        if len(usable) == len(merges):
            return merges
        merges = usable


def _marked(text: bytes) -> bytes:
    return _MARK + text + _MARK


def _is_byte_level(step: Mapping[str, Any] | None) -> bool:
    if step is None:
        return False
    steps: Iterable[Mapping[str, Any]] = step.get("pretokenizers", [step])
    return any(inner["type"] == "ByteLevel" for inner in steps)


@cache
def _byte_letters() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for letters from U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(256 + number): byte for number, byte in enumerate(others)}
