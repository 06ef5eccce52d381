"""What the hub's client has fetched before: the folders of its cache, which may be read-only.

Owns: which snapshot of a model is whole. Knows the cache's layout (refs/ and snapshots/ in a folder for each
model), which the client documents. Asks nobody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from export.sources.gguf_parts import part_names
from export.sources.hub_source import HubSource, weight_files


def cache_folder() -> Path:
    """Where HF_HOME and HF_HUB_CACHE say that it is."""
    from huggingface_hub import constants  # noqa: PLC0415  (slow to import)

    return Path(constants.HF_HUB_CACHE)


def find(source: HubSource) -> Path | None:
    """The snapshot, or the GGUF file in it, if all that is needed of the model is there."""
    for snapshot in _snapshots(_folder(source), source.revision):
        if source.gguf is not None and _has_parts(snapshot, source.gguf):
            return snapshot / source.gguf
        if source.gguf is None and _is_whole(snapshot):
            return snapshot
    return None


def remember(source: HubSource, commit: str) -> None:
    """Which commit a name stood for, as the client does where it is asked by that name; if it can be written."""
    name = source.revision or "main"
    if commit == name or ".." in name.split("/"):
        return
    with contextlib.suppress(OSError):
        named = _folder(source) / "refs" / name
        named.parent.mkdir(parents=True, exist_ok=True)
        named.write_text(commit, "utf-8")


def _folder(source: HubSource) -> Path:
    return cache_folder() / f"models--{source.repository.replace('/', '--')}"


def _snapshots(folder: Path, revision: str | None) -> Iterator[Path]:
    """Those of a branch, tag or commit; without one of the main branch, else of any, the newest first."""
    named = folder / "refs" / (revision or "main")
    if named.is_file():
        yield folder / "snapshots" / named.read_text("utf-8").strip()
    if revision is not None:
        yield folder / "snapshots" / revision
    else:
        found = (path for path in folder.glob("snapshots/*") if path.is_dir())
        yield from sorted(found, key=lambda path: -path.stat().st_mtime)


def _has_parts(snapshot: Path, gguf: str) -> bool:
    return all((snapshot / name).is_file() for name in part_names(gguf))


def _is_whole(snapshot: Path) -> bool:
    """Small files are fetched first, so the weights tell; a file has its name once it is whole."""
    names = [path.name for path in snapshot.glob("*") if path.is_file()]
    weights = weight_files(names, lambda name: (snapshot / name).read_text("utf-8"))
    needed = {
        *weights,
        *(name.removesuffix(".xml") + ".bin" for name in weights if name.endswith(".xml")),
    }
    return bool(weights) and needed <= set(names)
