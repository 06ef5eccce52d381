"""Scored sentencepiece pieces -> a BPE tokenizer with byte fallback that gives the same ids.

Serves both sentencepiece `.model` files and llama-style GGUF vocabularies. Sentencepiece joins
the adjacent pair whose joined piece scores best, so every split of a piece into two pieces
becomes a merge, ranked by that score.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SPACE = "▁"


class PieceKind(IntEnum):
    """The type numbers of sentencepiece, which GGUF's token_type shares."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Piece(NamedTuple):
    """One entry of the vocabulary; its id is its position."""

    text: str
    score: float
    kind: int


def fast_tokenizer(pieces: Sequence[Piece], *, space_prefix: bool) -> Tokenizer:
    """A tokenizer equal to sentencepiece's BPE over `pieces`, with identity normalisation.

    `space_prefix`: text gets a leading space before it is cut, and decoding strips it.
    """
    vocab = {piece.text: i for i, piece in enumerate(pieces)}
    unk = next((p.text for p in pieces if p.kind == PieceKind.UNKNOWN), None)
    model = models.BPE(
        vocab=vocab,
        merges=_merges(pieces, vocab),
        unk_token=unk,
        fuse_unk=True,
        byte_fallback=any(p.kind == PieceKind.BYTE for p in pieces),
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = _normalizer(space_prefix=space_prefix)
    tokenizer.decoder = _decoder(space_prefix=space_prefix)
    add_tokens(tokenizer, pieces)
    return tokenizer


def add_tokens(tokenizer: Tokenizer, pieces: Sequence[Piece]) -> None:
    """Register the vocabulary's control pieces as special, user-defined ones as ordinary tokens."""
    special = (PieceKind.CONTROL, PieceKind.UNKNOWN)
    for piece in pieces:
        if piece.kind in special:
            tokenizer.add_special_tokens([AddedToken(piece.text, normalized=False, special=True)])
        elif piece.kind == PieceKind.USER_DEFINED:
            tokenizer.add_tokens([AddedToken(piece.text, normalized=False, special=False)])


def _merges(pieces: Sequence[Piece], vocab: dict[str, int]) -> list[tuple[str, str]]:
    joinable = (PieceKind.NORMAL, PieceKind.USER_DEFINED)
    parts = {text: i for text, i in vocab.items() if pieces[i].kind in joinable}
    ranked = [
        (-piece.score, parts[left], parts[right], left, right)
        for piece in pieces
        if piece.kind == PieceKind.NORMAL
        for left, right in _splits(piece.text)
        if left in parts and right in parts
    ]
    ranked.sort(key=lambda merge: merge[:3])
    return [(left, right) for *_, left, right in ranked]


def _splits(text: str) -> Iterator[tuple[str, str]]:
    return ((text[:k], text[k:]) for k in range(1, len(text)))


def _normalizer(*, space_prefix: bool) -> normalizers.Normalizer:
    prepend = [normalizers.Prepend(SPACE)] if space_prefix else []
    return normalizers.Sequence([*prepend, normalizers.Replace(" ", SPACE)])


def _decoder(*, space_prefix: bool) -> decoders.Decoder:
    strip = [decoders.Strip(" ", 1, 0)] if space_prefix else []
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*steps, *strip])
