"""Control tokens that a converter wrote into a GGUF file as ordinary pieces.

Such a mark would come apart in a rendered template, and a person could type the real one. Knows pieces
and the template's text, not the file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from export.tokenizers.pieces import Piece, PieceKind
from export.tokenizers.source import END_OF_TURN

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

# <|im_start|> and DeepSeek's wide form steer a model; <think> and [TOOL] may also be told as text.
_CONTROL = re.compile(r"<[|｜][^<>\s]+[|｜]>")
_MARK = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]")


def with_marks(pieces: Sequence[Piece], template: str, named_ids: Collection[int]) -> list[Piece]:
    """The pieces, with the kinds that the marks among them should have.

    Marks are what `named_ids` (BOS, EOS and the like) stand for, the strings that end turns, and what
    `template` spells and the vocabulary holds whole.
    """
    used = set(_CONTROL.findall(template)) | set(_MARK.findall(template))
    return [
        piece._replace(kind=_kind(piece, is_named=index in named_ids, is_used=piece.text in used))
        for index, piece in enumerate(pieces)
    ]


def _kind(piece: Piece, *, is_named: bool, is_used: bool) -> int:
    if piece.kind not in (PieceKind.NORMAL, PieceKind.USER_DEFINED, PieceKind.UNUSED):
        return piece.kind
    steers = _MARK if is_named else _CONTROL if is_used else None
    if piece.text in END_OF_TURN or (steers and steers.fullmatch(piece.text)):
        return PieceKind.CONTROL
    return PieceKind.USER_DEFINED if is_used else piece.kind
