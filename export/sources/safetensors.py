"""safetensors files, memory-mapped: an 8-byte length, a JSON header, then the tensors' bytes.

Format: the safetensors README. Every offset is checked against the file's size, so that a
truncated file is refused when it is opened.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import ExportError
from export.tensors import ELEMENT_DTYPES, PART_DTYPES, Bytes, StoredTensor

LENGTH_BYTES = 8


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of one file; raises ExportError if it is damaged."""
    mapped: Bytes = np.memmap(path, np.uint8, "c") if path.stat().st_size else np.zeros(0, np.uint8)
    header, start = _header(path, mapped)
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            tensors[name] = _tensor(name, entry, mapped[start:])
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(path) from error
    return tensors


def damaged(path: Path) -> ExportError:
    """The error for a file whose contents do not fit its own description."""
    return ExportError(f"{path} is damaged or cut short; download it again.")


def _header(path: Path, mapped: Bytes) -> tuple[dict[str, Any], int]:
    start = LENGTH_BYTES + int.from_bytes(mapped[:LENGTH_BYTES].tobytes(), "little")
    if mapped.size < LENGTH_BYTES or start > mapped.size:
        raise damaged(path)
    try:
        header = json.loads(mapped[LENGTH_BYTES:start].tobytes())
    except ValueError as error:
        raise damaged(path) from error
    if not isinstance(header, dict):
        raise damaged(path)
    return header, start


def _tensor(name: str, entry: dict[str, Any], mapped: Bytes) -> StoredTensor:
    begin, end = entry["data_offsets"]
    shape = tuple(int(size) for size in entry["shape"])
    if not 0 <= begin <= end <= mapped.size:
        raise ValueError(name)
    content = mapped[begin:end]
    encoding = entry["dtype"]
    dtype = {**ELEMENT_DTYPES, **PART_DTYPES}.get(encoding)
    if dtype is None:
        # Kept unread: it matters only if the graph asks for it.
        return StoredTensor(name, content, encoding, shape)
    # A slice of a memory map has the alignment of its offset; NumPy copes, OpenVINO is given
    # a copy where it would not (export.packing.dense).
    return StoredTensor(name, content.view(dtype).reshape(shape), encoding, shape)
