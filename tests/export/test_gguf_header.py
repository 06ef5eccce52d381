"""The walk over a GGUF header: lengths that leave the file are found before anything is read."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from export.errors import ExportError
from export.sources.gguf import open_gguf
from export.sources.gguf_header import check_header
from tests.export.checkpoints import write_gguf

STRING, ARRAY, U8, U32 = 8, 9, 0, 4


def header(*pairs: bytes, tensors: int = 0, count: int | None = None) -> bytes:
    counts = struct.pack("<IQQ", 3, tensors, len(pairs) if count is None else count)
    return b"GGUF" + counts + b"".join(pairs)


def pair(kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", 1) + b"k" + struct.pack("<I", kind) + value


def array(kind: int, count: int, values: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + values


HOSTILE = {
    "more pairs than bytes": header(count=2**40),
    "more tensors than bytes": header(tensors=2**40),
    "a string longer than the file": header(pair(STRING, struct.pack("<Q", 2**63))),
    "an array longer than the file": header(pair(ARRAY, array(U8, 2**62))),
    "more strings than bytes": header(pair(ARRAY, array(STRING, 2**50))),
    "nested arrays": header(pair(ARRAY, array(ARRAY, 1) * 200_000 + array(U8, 0))),
    "an unknown type": header(pair(77, bytes(8))),
    "a tensor of many dimensions": header(tensors=1)
    + struct.pack("<Q", 1)
    + b"t"
    + struct.pack("<I", 2**30)
    + bytes(64),
    "nothing": b"GGUF",
    "half a version": b"GGUF\x03\x00",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.timeout(20)
def test_a_hostile_header_is_refused_at_once(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(ExportError, match="damaged or cut short"):
        open_gguf(path)


def test_a_sound_header_passes(tmp_path: Path) -> None:
    path = tmp_path / "sound.gguf"
    strings = array(STRING, 2, struct.pack("<Q", 1) + b"a" + struct.pack("<Q", 0))
    path.write_bytes(header(pair(U32, bytes(4)), pair(ARRAY, strings), pair(ARRAY, array(U8, 0))))
    check_header(path)
    check_header(write_gguf(tmp_path / "tiny.gguf"))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(at=172, value=1, length=2)  # heads that no rows can be of
@given(
    at=st.integers(8, 1200),
    value=st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]),
    length=st.integers(1, 9),
)
def test_a_damaged_header_ends_in_a_sentence_or_in_a_model(
    at: int, value: int, length: int, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.gguf"
    if not whole.exists():
        write_gguf(whole)
    content = bytearray(whole.read_bytes())
    content[at : at + length] = bytes([value]) * length
    path = tmp_path / "damaged.gguf"
    path.write_bytes(content)
    try:
        open_gguf(path)
    except ExportError as error:
        assert str(error).endswith(".")  # noqa: PT017
