"""Completeness, damage, interruption: what is and what is not taken for a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export import ExportError, artifacts, export_model
from export.progress import silent
from tests.export.checkpoints import write_gguf


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf", "Q8_0")


@pytest.fixture
def directory(source: Path, tmp_path: Path) -> Path:
    return export_model(str(source), tmp_path / "model")


def test_a_fresh_export_is_complete(directory: Path) -> None:
    assert artifacts.is_complete(directory)
    assert artifacts.verify(directory) == []
    assert set(artifacts.REQUIRED) <= {path.name for path in directory.iterdir()}


def test_nothing_but_the_model_is_left(directory: Path) -> None:
    manifest = artifacts.read_manifest(directory)
    assert manifest is not None
    assert {path.name for path in directory.iterdir()} == {*manifest["files"], "manifest.json"}
    assert not list(directory.parent.glob(f"{artifacts.STAGING_PREFIX}*"))


def test_a_second_export_does_nothing(source: Path, directory: Path) -> None:
    before = (directory / artifacts.MODEL_BIN).stat()
    export_model(str(source), directory)
    assert (directory / artifacts.MODEL_BIN).stat() == before


def test_another_format_is_exported_anew(source: Path, directory: Path) -> None:
    export_model(str(source), directory, weights="fp16")
    assert artifacts.is_complete(directory)
    manifest = artifacts.read_manifest(directory)
    assert manifest is not None
    assert manifest["weights"] == "fp16"


@pytest.mark.parametrize("name", artifacts.REQUIRED)
def test_a_missing_file_is_noticed_and_redone(source: Path, directory: Path, name: str) -> None:
    (directory / name).unlink()
    assert not artifacts.is_complete(directory)
    export_model(str(source), directory)
    assert artifacts.is_complete(directory)


def test_a_truncated_file_is_noticed(directory: Path) -> None:
    path = directory / artifacts.MODEL_BIN
    path.write_bytes(path.read_bytes()[:-1])
    assert not artifacts.is_complete(directory)


def test_a_flipped_bit_is_found_by_verify(directory: Path) -> None:
    path = directory / artifacts.MODEL_BIN
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert artifacts.is_complete(directory)
    assert artifacts.verify(directory) == [artifacts.MODEL_BIN]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 99}', '{"version": 1}'])
def test_a_damaged_manifest_is_noticed(directory: Path, source: Path, content: str) -> None:
    (directory / artifacts.MANIFEST).write_text(content)
    assert not artifacts.is_complete(directory)
    export_model(str(source), directory)
    assert artifacts.is_complete(directory)


def test_an_interrupted_export_leaves_nothing(source: Path, tmp_path: Path) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if what == "Converting weights" and done * 2 > total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_model(str(source), tmp_path / "model", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_an_interrupted_second_export_keeps_the_first(source: Path, directory: Path) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_model(str(source), directory, weights="fp16", progress=interrupt)
    assert artifacts.is_complete(directory)


def test_folders_of_dead_exports_are_removed(source: Path, tmp_path: Path) -> None:
    dead = tmp_path / f"{artifacts.STAGING_PREFIX}999999999-x"
    dead.mkdir()
    (dead / "openvino_model.bin").write_bytes(b"half")
    export_model(str(source), tmp_path / "model", progress=silent)
    assert not dead.exists()


def test_folders_with_other_files_are_never_replaced(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "documents"
    mine.mkdir()
    (mine / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(ExportError, match="no export wrote"):
        export_model(str(source), mine)
    assert (mine / "thesis.txt").read_text() == "irreplaceable"


def test_a_changed_source_is_exported_anew(source: Path, directory: Path) -> None:
    old = artifacts.read_manifest(directory)
    write_gguf(source, "Q4_0")
    export_model(str(source), directory)
    new = artifacts.read_manifest(directory)
    assert old is not None
    assert new is not None
    assert old["files"] != new["files"]


def test_the_manifest_tells_where_the_model_comes_from(directory: Path, source: Path) -> None:
    manifest = json.loads((directory / artifacts.MANIFEST).read_text())
    assert manifest["source"]["path"] == str(source)
    assert (manifest["weights"], manifest["kv"]) == ("native", "stateful")
    assert manifest["versions"].keys() == {"openvino", "openvino-tokenizers"}
