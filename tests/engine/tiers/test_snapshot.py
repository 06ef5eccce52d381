"""Snapshots come back bit for bit, or are refused with the reason; nothing in between."""

import io
import json
import resource
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from engine.errors import ModelNotFound
from engine.tiers import snapshot as snapshots
from engine.tiers.snapshot import Fingerprint, Reason, Snapshot, SnapshotRefused, fingerprint_of

HERE = Fingerprint("m" * 64, "t" * 64, "u8", "60x32", "2026.4.1")
MODEL_FILES = ["openvino_model.xml", "openvino_model.bin"]
TOKENIZER_FILES = ["openvino_tokenizer.xml", "openvino_tokenizer.bin"]


def make_snapshot(
    tokens: list[int], *, tensors: int = 3, block_bytes: int = 24, probe: int = 4, seed: int = 0
) -> Snapshot:
    """Random blocks for `tokens`, 32 to a block; tensor i has i more bytes in a block."""
    rng = np.random.default_rng(seed)
    count = -(-len(tokens) // 32)
    return Snapshot(
        tokens,
        [rng.integers(0, 256, (count, block_bytes + i), np.uint8) for i in range(tensors)],
        rng.integers(0, 49152, probe, np.int32),
        rng.standard_normal(probe, np.float32),
    )


def assert_equal(a: Snapshot, b: Snapshot) -> None:
    """Both hold the same bits."""
    assert a.tokens == b.tokens
    assert len(a.blocks) == len(b.blocks)
    for ours, theirs in zip(a.blocks, b.blocks, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert a.probe_ids.tobytes() == b.probe_ids.tobytes()
    assert a.probe_logits.tobytes() == b.probe_logits.tobytes()


def dumped(snapshot: Snapshot) -> bytes:
    file = io.BytesIO()
    count = snapshots.dump(file, snapshot, HERE)
    assert count == len(file.getvalue()) == snapshots.num_bytes(snapshot, HERE)
    return file.getvalue()


def refusal(raw: bytes, fingerprint: Fingerprint = HERE) -> Reason:
    with pytest.raises(SnapshotRefused) as caught:
        snapshots.parse(raw, fingerprint)
    assert str(caught.value).startswith(caught.value.reason.value)
    assert str(caught.value).endswith(".")
    return caught.value.reason


def sealed(header: object, body: bytes = b"") -> bytes:
    """A file with any header at all and a checksum that is right."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    raw = len(text).to_bytes(8, "little") + text + body
    return raw + zlib.crc32(raw).to_bytes(4, "little")


WHOLE = dumped(make_snapshot(list(range(70))))


@given(
    tokens=st.lists(st.integers(0, 2**31 - 1), max_size=100),
    tensors=st.integers(0, 12),
    block_bytes=st.integers(0, 40),
    probe=st.integers(0, 64),
    seed=st.integers(0, 9),
)
def test_what_was_dumped_is_parsed_bit_for_bit(
    tokens: list[int], tensors: int, block_bytes: int, probe: int, seed: int
) -> None:
    snapshot = make_snapshot(
        tokens, tensors=tensors, block_bytes=block_bytes, probe=probe, seed=seed
    )
    assert_equal(snapshots.parse(dumped(snapshot), HERE), snapshot)


def test_logits_that_are_not_numbers_keep_their_bits() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    snapshot = replace(make_snapshot([1, 2]), probe_logits=odd)
    assert_equal(snapshots.parse(dumped(snapshot), HERE), snapshot)


def test_blocks_that_are_no_contiguous_memory_are_written_in_order() -> None:
    snapshot = make_snapshot(list(range(96)))
    strided = replace(snapshot, blocks=[np.asfortranarray(raw) for raw in snapshot.blocks])
    assert dumped(strided) == dumped(snapshot)


def test_other_safetensors_readers_open_it(tmp_path: Path) -> None:
    snapshot = make_snapshot(list(range(33)))
    snapshots.write(tmp_path / "a.safetensors", snapshot, HERE)
    arrays = load_file(tmp_path / "a.safetensors")
    assert arrays["tokens"].tolist() == snapshot.tokens
    np.testing.assert_array_equal(arrays["blocks.2"], snapshot.blocks[2])
    np.testing.assert_array_equal(arrays["probe_logits"], snapshot.probe_logits)


def test_written_file_is_read_back_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for length in (70, 5, 200):
        snapshot = make_snapshot(list(range(length)))
        assert snapshots.write(path, snapshot, HERE) == path.stat().st_size
        assert_equal(snapshots.read(path, HERE), snapshot)
    assert list(tmp_path.iterdir()) == [path]


def test_every_truncation_is_refused() -> None:
    reasons = {refusal(WHOLE[:length]) for length in range(len(WHOLE))}
    assert reasons == {Reason.TRUNCATED}


def test_every_flipped_bit_is_refused() -> None:
    for position in range(len(WHOLE) * 8):
        raw = bytearray(WHOLE)
        raw[position // 8] ^= 1 << position % 8
        with pytest.raises(SnapshotRefused):
            snapshots.parse(bytes(raw), HERE)


@given(st.data())
def test_bytes_overwritten_at_random_are_refused(choose: st.DataObject) -> None:
    begin = choose.draw(st.integers(0, len(WHOLE) - 1))
    new = choose.draw(st.binary(min_size=1, max_size=200))
    raw = WHOLE[:begin] + new + WHOLE[begin + len(new) :]
    if raw != WHOLE:
        assert refusal(raw) in {Reason.DAMAGED, Reason.TRUNCATED}


@given(st.binary(min_size=1, max_size=50))
def test_trailing_bytes_are_refused(tail: bytes) -> None:
    assert refusal(WHOLE + tail) is Reason.DAMAGED


@pytest.mark.parametrize("length", [0, 4, 12, 4096])
def test_file_of_zeros_is_refused(length: int) -> None:
    assert refusal(bytes(length)) in {Reason.DAMAGED, Reason.TRUNCATED}


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["U8", "I32", ""]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["tokens", "__metadata__", "dtype", "shape", "data_offsets"]), inner
        )
    ),
)


@given(JSON)
def test_sealed_nonsense_is_refused(header: object) -> None:
    assert refusal(sealed(header, bytes(64))) is Reason.DAMAGED


ENTRY = {"dtype": "I32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F64"},
        {"shape": [3]},
        {"shape": [-1]},
        {"shape": [2**62, 4]},
        {"shape": [0, 2**63]},
        {"shape": "2"},
        {"data_offsets": [0, 4]},
        {"data_offsets": [-8, 0]},
        {"data_offsets": [4096, 4104]},
        {"data_offsets": [0.0, 8.0]},
        {"data_offsets": [0]},
        {"shape": [1, 2]},
        {"dtype": "F32"},
        {"dtype": "U8", "shape": [8]},
    ],
)
def test_sealed_file_with_an_impossible_array_is_refused(entry: dict[str, object]) -> None:
    metadata = {"format": snapshots.FORMAT, "version": snapshots.VERSION, **vars_of(HERE)}
    probe = {
        "probe_ids": {"dtype": "I32", "shape": [0], "data_offsets": [0, 0]},
        "probe_logits": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]},
    }
    good = {"__metadata__": metadata, "tokens": ENTRY, **probe}
    assert snapshots.parse(sealed(good, bytes(8)), HERE).tokens == [0, 0]
    bad = good | {"tokens": ENTRY | entry}
    assert refusal(sealed(bad, bytes(8))) is Reason.DAMAGED


def vars_of(fingerprint: Fingerprint) -> dict[str, str]:
    return {name: getattr(fingerprint, name) for name in Fingerprint.__slots__}


@pytest.mark.parametrize("header", [b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b"\xff"])
def test_sealed_header_that_breaks_parsers_is_refused(header: bytes) -> None:
    assert refusal(sealed(header)) is Reason.DAMAGED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "x" * 64}, Reason.MODEL),
        ({"tokenizer": "x" * 64}, Reason.TOKENIZER),
        ({"kv_precision": "bf16"}, Reason.KV_PRECISION),
        ({"kv_layout": "60x16"}, Reason.KV_LAYOUT),
        ({"openvino": "2026.5.0"}, Reason.OPENVINO),
    ],
)
def test_foreign_snapshot_is_refused_by_what_differs(
    change: dict[str, str], reason: Reason
) -> None:
    assert refusal(WHOLE, replace(HERE, **change)) is reason


def test_other_format_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "VERSION", "2")
    assert refusal(WHOLE) is Reason.VERSION
    monkeypatch.undo()
    monkeypatch.setattr(snapshots, "FORMAT", "something else")
    assert refusal(WHOLE) is Reason.DAMAGED


def test_missing_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "a", Reason.MISSING), (tmp_path, Reason.UNREADABLE)):
        with pytest.raises(SnapshotRefused) as caught:
            snapshots.read(path, HERE)
        assert caught.value.reason is reason


@contextmanager
def file_size_limit(num_bytes: int) -> Iterator[None]:
    """Make the kernel refuse bytes beyond `num_bytes` in any file, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_that_fails_half_way_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    old = make_snapshot([1, 2, 3])
    snapshots.write(path, old, HERE)
    new = make_snapshot(list(range(3200)), block_bytes=4096)
    with file_size_limit(200_000), pytest.raises(SnapshotRefused) as caught:
        snapshots.write(path, new, HERE)
    assert caught.value.reason is Reason.UNWRITABLE
    assert list(tmp_path.iterdir()) == [path]
    assert_equal(snapshots.read(path, HERE), old)


def test_write_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotRefused, match="No such file"):
        snapshots.write(tmp_path / "none" / "a", make_snapshot([1]), HERE)


def test_snapshot_of_uneven_blocks_is_our_bug() -> None:
    snapshot = make_snapshot(list(range(64)))
    uneven = replace(snapshot, blocks=[snapshot.blocks[0], snapshot.blocks[1][:1]])
    with pytest.raises(AssertionError, match="differing lengths"):
        dumped(uneven)


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    for i, name in enumerate(MODEL_FILES + TOKENIZER_FILES):
        (tmp_path / name).write_bytes(bytes([i]) * 5_000_000)
    return tmp_path


def flip(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def test_fingerprint_is_that_of_the_files(model_dir: Path) -> None:
    before = fingerprint_of(model_dir, "u8", "60x32", "2026.4.1")
    assert before == fingerprint_of(model_dir, "u8", "60x32", "2026.4.1")
    assert (before.kv_precision, before.kv_layout, before.openvino) == ("u8", "60x32", "2026.4.1")
    for name in MODEL_FILES:
        for position in (0, 1_000_000, 4_999_999):
            flip(model_dir / name, position)
            after = fingerprint_of(model_dir, "u8", "60x32", "2026.4.1")
            assert after.model != before.model
            assert after.tokenizer == before.tokenizer
            before = after
    for name in TOKENIZER_FILES:
        flip(model_dir / name, 2_345_678)
        after = fingerprint_of(model_dir, "u8", "60x32", "2026.4.1")
        assert after.tokenizer != before.tokenizer
        assert after.model == before.model
        before = after


def test_longer_weights_have_another_fingerprint(model_dir: Path) -> None:
    before = fingerprint_of(model_dir, "u8", "60x32", "2026.4.1")
    (model_dir / "openvino_model.bin").write_bytes(bytes([1]) * 5_000_001)
    assert fingerprint_of(model_dir, "u8", "60x32", "2026.4.1").model != before.model


@pytest.mark.parametrize("name", MODEL_FILES + TOKENIZER_FILES)
def test_fingerprint_names_the_missing_file(model_dir: Path, name: str) -> None:
    (model_dir / name).unlink()
    with pytest.raises(ModelNotFound, match=name):
        fingerprint_of(model_dir, "u8", "60x32", "2026.4.1")
