"""The model directory as files: names, manifest, completeness, and writing all or nothing.

A directory is complete when its manifest is readable and every file it lists is there with its
size; `verify` hashes them too. Exports are written to a folder beside the target and renamed,
so that an interrupted one is never taken for a model. Knows nothing of what the files hold.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from export.errors import ExportError

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
MODEL_XML = "openvino_model.xml"
MODEL_BIN = "openvino_model.bin"
LANGUAGE_XML = "openvino_language_model.xml"  # of a model for images and text
CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
REQUIRED = (
    MODEL_XML,
    MODEL_BIN,
    "openvino_tokenizer.xml",
    "openvino_tokenizer.bin",
    "openvino_detokenizer.xml",
    "openvino_detokenizer.bin",
    CONFIG,
)
STAGING_PREFIX = ".export-"


def is_complete(directory: Path) -> bool:
    """Whether an export of this project is there, with every file at its recorded size."""
    manifest = read_manifest(directory)
    if manifest is None:
        return False
    return all(
        _size(directory / name) == entry["bytes"] for name, entry in manifest["files"].items()
    )


def verify(directory: Path) -> list[str]:
    """Names of the files whose contents differ from the manifest; reads everything."""
    manifest = read_manifest(directory)
    if manifest is None:
        return [MANIFEST]
    return [
        name
        for name, entry in manifest["files"].items()
        if _size(directory / name) != entry["bytes"] or sha256(directory / name) != entry["sha256"]
    ]


def is_model_directory(directory: Path) -> bool:
    """Whether an OpenVINO model lies there ready-made, whoever exported it."""
    return any((directory / xml).is_file() and (directory / xml).with_suffix(".bin").is_file()
               for xml in (MODEL_XML, LANGUAGE_XML))  # fmt: skip


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """The manifest, or None if it is absent, damaged or of another version."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or manifest.get("version") != MANIFEST_VERSION:
        return None
    files = manifest.get("files")
    well_formed = isinstance(files, dict) and all(
        isinstance(entry, dict) and {"bytes", "sha256"} <= entry.keys() for entry in files.values()
    )
    return manifest if well_formed and set(REQUIRED) <= manifest["files"].keys() else None


def write_manifest(directory: Path, about: dict[str, Any]) -> None:
    """Record every file of the directory beside `about` (source, weights, kv)."""
    paths = sorted(path for path in directory.iterdir() if path.name != MANIFEST)
    manifest = {
        "version": MANIFEST_VERSION,
        **about,
        "versions": {name: version(name) for name in ("openvino", "openvino-tokenizers")},
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in paths
        },
    }
    write_json(directory / MANIFEST, manifest)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """UTF-8, indented, with a final newline."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def sha256(path: Path) -> str:
    """Hex digest of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, which takes its place when the block ends without error.

    Raises ExportError where `target` holds something that is not an export, or cannot be written.
    """
    _check_replaceable(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target.parent)
        folder = _beside(target)
    except OSError as error:
        raise ExportError(f"{target.parent} cannot be written: {error.strerror}.") from error
    try:
        yield folder
        folder.chmod(0o755)
        _replace(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_replaceable(target: Path) -> None:
    if target.is_file():
        raise ExportError(f"{target} is a file; choose another folder with --out.")
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not (target / MANIFEST).exists():
        raise ExportError(
            f"{target} holds files that no export wrote; delete it or choose another folder "
            "with --out."
        )


def _replace(folder: Path, target: Path) -> None:
    if not target.exists():
        folder.rename(target)
        return
    old = _beside(target)
    os.replace(target, old)  # noqa: PTH105  (replaces the empty folder in one step)
    folder.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _beside(target: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"{STAGING_PREFIX}{os.getpid()}-", dir=target.parent))


def _remove_leftovers(parent: Path) -> None:
    """Delete the folders of interrupted exports: those whose writer no longer runs."""
    for folder in parent.glob(f"{STAGING_PREFIX}*-*"):
        pid = folder.name.removeprefix(STAGING_PREFIX).split("-")[0]
        if pid.isdigit() and not _runs(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
