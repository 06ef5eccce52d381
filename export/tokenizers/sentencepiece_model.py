"""Reads a sentencepiece `.model` file: its pieces and the few settings that decide the ids.

The file is one protocol buffer message (`ModelProto` in sentencepiece_model.proto); the wire
format is read here directly, so neither protobuf nor sentencepiece is needed to export.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.errors import ExportError
from export.tokenizers.pieces import Piece, PieceKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BPE = 2  # TrainerSpec.ModelType
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class SentencePieceModel:
    """A BPE model: pieces in the order of their ids, and how text is prepared.

    `charsmap` is the compiled normalisation, empty for identity.
    """

    pieces: tuple[Piece, ...]
    space_prefix: bool
    remove_extra_spaces: bool
    charsmap: bytes


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Read a BPE `.model`; ExportError where it is damaged or of another kind."""
    try:
        return _model(path.read_bytes())
    except (IndexError, ValueError, KeyError, struct.error) as error:
        raise ExportError(
            f"{path}: not a complete sentencepiece BPE model ({error}); fetch the file again."
        ) from error


def _model(content: bytes) -> SentencePieceModel:
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for number, value in _fields(content):
        if number == 1:
            pieces.append(_piece(_message(value)))
        elif number == 2:
            trainer = dict(_fields(_message(value)))
        elif number == 3:
            normalizer = dict(_fields(_message(value)))
    if not pieces:
        raise ValueError("it holds no pieces")
    if trainer.get(3) != _BPE:
        raise ValueError("its model type is not BPE")
    return SentencePieceModel(
        pieces=tuple(pieces),
        space_prefix=bool(normalizer.get(3, True)),
        remove_extra_spaces=bool(normalizer.get(4, True)),
        charsmap=_message(normalizer.get(2, b"")),
    )


def _piece(message: bytes) -> Piece:
    fields = dict(_fields(message))
    (score,) = struct.unpack("<f", _message(fields.get(2, bytes(4))))
    kind = fields.get(3, PieceKind.NORMAL)
    assert isinstance(kind, int)
    return Piece(_message(fields[1]).decode("utf-8"), score, kind)


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where a message should")  # noqa: TRY004 - the file's fault
    return value


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Every field of a message: its number, and its value as an int or as raw bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size, at = _size(key & 7, message, at)
        if at + size > len(message):
            raise ValueError("it ends in the middle of a field")
        yield key >> 3, message[at : at + size]
        at += size


def _size(wire_type: int, message: bytes, at: int) -> tuple[int, int]:
    if wire_type == _BYTES:
        return _varint(message, at)
    sizes = {_FIXED32: 4, _FIXED64: 8}
    if wire_type not in sizes:
        raise ValueError(f"unknown wire type {wire_type}")
    return sizes[wire_type], at


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
