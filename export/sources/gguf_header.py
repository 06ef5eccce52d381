"""The header of a GGUF file, walked once before the gguf library reads it.

The library trusts every count: one that does not fit the file makes it fill the memory, nested arrays
end its recursion, and weights in the other byte order come out as noise. So every length is held
against the file's size first. The format is ggml's gguf.md. Knows no keys and no tensors.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from export.errors import ExportError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_SMALLEST_PAIR = 8 + 1 + 4 + 1  # a name's length, the name, a type, a value
_SMALLEST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8
_MOST_DIMENSIONS = 4


def check_header(path: Path) -> None:
    """Raise ExportError for a file that is no GGUF, of another version or byte order, or damaged."""
    with path.open("rb") as file:
        start = file.read(8)
        if start[:4] != MAGIC:
            raise ExportError(
                f"{path} is not a GGUF file; give a GGUF file, a model folder or a name from the catalog."
            )
        _check_version(path, start[4:])
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                _Walk(content).header()
            except (struct.error, ValueError) as error:
                raise damaged(path) from error


def damaged(path: Path) -> ExportError:
    """What is said of a file whose parts do not fit each other."""
    return ExportError(f"{path} is a GGUF file, but it is damaged or cut short; download it again.")


def _check_version(path: Path, raw: bytes) -> None:
    if len(raw) < 4:
        raise damaged(path)
    version = int.from_bytes(raw, "little")
    if version in VERSIONS:
        return
    if int.from_bytes(raw, "big") in VERSIONS:
        raise ExportError(
            f"{path} is a GGUF file in big-endian byte order, for machines such as s390x; get the "
            "little-endian file of the same model, or export from the original checkpoint."
        )
    raise ExportError(
        f"{path} is a GGUF file of version {version}; versions 2 and 3 are supported. Convert the "
        "model again with a current llama.cpp, or export from the original checkpoint."
    )


class _Walk:
    """Goes through the header once; struct.error or ValueError where it leaves the file."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._at = content, 8

    def header(self) -> None:
        tensors, pairs = self._number("<Q"), self._number("<Q")
        self._expect(pairs, _SMALLEST_PAIR)
        for _ in range(pairs):
            self._string()
            self._value(self._number("<I"))
        self._expect(tensors, _SMALLEST_TENSOR)
        for _ in range(tensors):
            self._tensor()

    def _tensor(self) -> None:
        self._string()
        if (dimensions := self._number("<I")) > _MOST_DIMENSIONS:
            raise ValueError("more dimensions than the format has")
        self._skip(8 * dimensions + 4 + 8)

    def _value(self, kind: int) -> None:
        if kind == _STRING:
            self._string()
        elif kind == _ARRAY:
            self._array()
        else:
            self._skip(_size(kind))

    def _array(self) -> None:
        kind, count = self._number("<I"), self._number("<Q")
        if kind == _ARRAY:
            raise ValueError("an array of arrays")  # which nothing writes
        if kind != _STRING:
            self._skip(count * _size(kind))
            return
        self._expect(count, 8)
        for _ in range(count):
            self._string()

    def _string(self) -> None:
        self._skip(self._number("<Q"))

    def _number(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self._content, self._at)
        self._at += struct.calcsize(form)
        assert isinstance(value, int)
        return value

    def _skip(self, count: int) -> None:
        self._expect(count, 1)
        self._at += count

    def _expect(self, count: int, each: int) -> None:
        if count * each > len(self._content) - self._at:
            raise ValueError("a length that is longer than the file")


def _size(kind: int) -> int:
    if kind not in _SCALAR_BYTES:
        raise ValueError(f"unknown type {kind}")
    return _SCALAR_BYTES[kind]
