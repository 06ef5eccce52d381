"""The container of snapshots: a safetensors file whose last four bytes are a CRC-32 of all others.

Owns: the layout on disk, and the refusal of whatever is not exactly what was written. Does not
know: what the arrays mean. The checksum is the file's last tensor, so other safetensors readers can
open it, and it covers the header too: nothing is believed before it has been verified. It stops
accidents; nothing but a secret key could stop a forger, so the header is also parsed with care.
Format: https://huggingface.co/docs/safetensors, "Format".
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from engine.errors import EngineError

Arrays = Mapping[str, npt.NDArray[Any]]

_CHECKSUM = "checksum"
_CHECKSUM_BYTES = 4
_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_MAX_HEADER_BYTES = 1 << 20
_DTYPES: dict[str, np.dtype[Any]] = {
    "U8": np.dtype("u1"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class Reason(Enum):
    """Why a snapshot is not used; the value is the sentence for people, without its full stop."""

    MISSING = "There is no snapshot of this conversation on disk"
    TRUNCATED = "The snapshot file is cut short"
    DAMAGED = "The snapshot file is damaged"
    VERSION = "The snapshot has another format version"
    MODEL = "The snapshot was made by another model"
    TOKENIZER = "The snapshot was made with another tokenizer"
    KV_PRECISION = "The snapshot has another KV precision"
    KV_LAYOUT = "The snapshot has another KV layout"
    OPENVINO = "The snapshot was made by another OpenVINO version"
    TOO_LARGE = "The snapshot is larger than the disk budget"
    NO_ROOM = "The disk is almost full"
    UNFAITHFUL = "The restored KV does not give the logits that it gave"
    UNREADABLE = "The snapshot cannot be read"
    UNWRITABLE = "The snapshot cannot be written"


class SnapshotRefused(EngineError):
    """A snapshot that cannot be written or must not be used. The tokens have to be prefilled."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}." if detail else f"{reason.value}.")
        self.reason = reason


def dump(file: IO[bytes], metadata: Mapping[str, str], arrays: Arrays) -> int:
    """Write `arrays` (u8, i32 or f32, C order) and `metadata` to `file`; the bytes written."""
    checksum = num_bytes = 0
    for part in _parts(metadata, arrays):
        checksum = zlib.crc32(part, checksum)
        num_bytes += part.nbytes
        file.write(part)
    file.write(checksum.to_bytes(_CHECKSUM_BYTES, "little"))
    return num_bytes + _CHECKSUM_BYTES


def dumped_bytes(metadata: Mapping[str, str], arrays: Arrays) -> int:
    """How many bytes `dump` would write."""
    return sum(part.nbytes for part in _parts(metadata, arrays)) + _CHECKSUM_BYTES


def parse(raw: bytes | memoryview) -> tuple[dict[str, str], dict[str, npt.NDArray[Any]]]:
    """The metadata and arrays that `dump` wrote; the arrays are views of `raw`.

    Raises SnapshotRefused: truncated or damaged.
    """
    view = memoryview(raw).cast("B")
    _verify(view)
    try:
        header, begin = _header(view)
        metadata = {str(key): str(value) for key, value in header.pop(_METADATA).items()}
        arrays = {name: _array(view, begin, entry) for name, entry in header.items()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise SnapshotRefused(Reason.DAMAGED) from error
    arrays.pop(_CHECKSUM, None)
    return metadata, arrays


def _parts(metadata: Mapping[str, str], arrays: Arrays) -> Iterator[memoryview]:
    """The file without its checksum, in order; no array is copied."""
    assert _CHECKSUM not in arrays
    assert all(array.flags.c_contiguous for array in arrays.values())
    header: dict[str, object] = {_METADATA: dict(metadata)}
    offset = 0
    for name, array in [*arrays.items(), (_CHECKSUM, np.empty(_CHECKSUM_BYTES, np.uint8))]:
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": array.shape,
            "data_offsets": (offset, offset + array.nbytes),
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    assert len(text) <= _MAX_HEADER_BYTES
    yield memoryview(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
    for array in arrays.values():
        yield array.reshape(-1).view(np.uint8).data


def _verify(view: memoryview) -> None:
    if len(view) <= _LENGTH_BYTES + _CHECKSUM_BYTES:
        raise SnapshotRefused(Reason.TRUNCATED)
    expected = int.from_bytes(view[-_CHECKSUM_BYTES:], "little")
    if zlib.crc32(view[:-_CHECKSUM_BYTES]) != expected:
        raise SnapshotRefused(Reason.TRUNCATED if _looks_short(view) else Reason.DAMAGED)


def _looks_short(view: memoryview) -> bool:
    """Whether an unverified file ends before its header says. Chooses a word, decides nothing."""
    try:
        header, begin = _header(view)
        return bool(begin + header[_CHECKSUM]["data_offsets"][1] > len(view))
    except (ValueError, TypeError, LookupError, RecursionError):
        return int.from_bytes(view[:_LENGTH_BYTES], "little") in range(
            len(view) - _LENGTH_BYTES, _MAX_HEADER_BYTES + 1
        )


def _header(view: memoryview) -> tuple[dict[str, Any], int]:
    """The header's entries and where the arrays begin."""
    end = _LENGTH_BYTES + int.from_bytes(view[:_LENGTH_BYTES], "little")
    if end > min(len(view), _LENGTH_BYTES + _MAX_HEADER_BYTES):
        raise ValueError("the header does not fit")
    header = json.loads(bytes(view[_LENGTH_BYTES:end]))
    if not isinstance(header, dict):
        raise TypeError("the header is no object")
    return header, end


def _array(view: memoryview, begin: int, entry: Any) -> npt.NDArray[Any]:
    """The array of a header entry; NumPy checks that shape and offset stay within `view`."""
    dtype, shape = _DTYPES[entry["dtype"]], entry["shape"]
    first, last = entry["data_offsets"]
    array: npt.NDArray[Any] = np.ndarray(shape, dtype, view, begin + first)
    if first < 0 or array.nbytes != last - first:
        raise ValueError("shape and offsets disagree")
    return array
