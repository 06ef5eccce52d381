"""From what --model says to a complete model directory.

Owns: how a reference is told apart (auto, catalog name, directory, GGUF file, model of a hub), which
model `auto` is, where exports go. Does not know how a model is exported, nor what the engine needs
of a directory.
"""

import argparse
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from export import artifacts
from export.errors import HubUnreachable, NotOnHub
from export.progress import Progress

AUTO = DEFAULT_MODEL = "auto"
READY_MADE = "OpenVINO/Qwen3-0.6B-int4-ov"
TO_EXPORT = "Qwen/Qwen3-0.6B"
FALLBACK = "smollm2-135m-instruct"

_HUB_ANSWERS_WITHIN_S = 3.0
_MODELSCOPE = "modelscope:"
_NATIVE = "GGUF"  # each matrix in the file's own blocks


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model directory, and what people should know about the choice: a key of web.languages.texts."""

    directory: Path
    note: str | None = None

    @property
    def weights(self) -> str | None:
        """The format of the weights, as the export has written it down; None where it is not known."""
        manifest = artifacts.read_manifest(self.directory) or {}
        weights = manifest.get("weights")
        return _NATIVE if weights == "native" else weights


Tell = Callable[[ModelChoice], None]


def _tell_nobody(_choice: ModelChoice) -> None:
    """For those who only want the directory."""


def model_reference(text: str) -> str:
    """`text` if --model can be that; else a refusal."""
    path = Path(text).expanduser()
    if text == AUTO or text in _catalog_names() or _is_gguf(path):
        return text
    if path.is_dir():
        if artifacts.is_model_directory(path):
            return text
        raise argparse.ArgumentTypeError(
            f"{text}: no openvino_model.xml and .bin in this directory; "
            f"export it first: python -m export {text} --out DIR."
        )
    if not path.exists() and _is_on_a_hub(text):
        return text
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither a known model ({AUTO}, {', '.join(_catalog_names())}), nor a model "
        "directory, nor a .gguf file, nor owner/name on the hub."
    )


def export_dir(model: str, data_dir: Path) -> Path | None:
    """Where the export of `model` belongs, or None if `model` is a model directory already."""
    path = Path(model).expanduser()
    if model not in _catalog_names() and path.is_dir():
        return None
    name = model.removeprefix(_MODELSCOPE).rstrip("/").rsplit("/", 1)[-1]
    return data_dir / "models" / (name[: -len(".gguf")] if name.lower().endswith(".gguf") else name)


def ready_model(
    model: str, data_dir: Path, progress: Progress, tell: Tell = _tell_nobody
) -> ModelChoice:
    """The directory of `model`, fetched and exported first if need be.

    progress is called with (what, done, total) meanwhile, `tell` as soon as the choice is made.
    Raises ExportError.
    """
    if model == AUTO:
        return _automatic(data_dir, progress, tell)
    target = export_dir(model, data_dir)
    if target is not None:
        return _exported(model, None, ModelChoice(target), progress, tell)
    from export.ready_made import complete  # noqa: PLC0415  (slow to import)

    choice = ModelChoice(Path(model).expanduser())
    tell(choice)
    complete(choice.directory)
    _mark_used(choice.directory)
    return choice


def _automatic(data_dir: Path, progress: Progress, tell: Tell) -> ModelChoice:
    """A model that is here; else a Chinese and English one of the hub; else the small English one."""
    if (here := _last_used(data_dir / "models")) is not None:
        choice = ModelChoice(here, "model_small" if here.name == FALLBACK else None)
        tell(choice)
        _mark_used(here)
        return choice
    try:
        return _from_hub(data_dir, progress, tell)
    except HubUnreachable:
        note = "model_hub_unreachable"
    except NotOnHub:
        note = "model_not_on_hub"
    choice = ModelChoice(data_dir / "models" / FALLBACK, note)
    return _exported(FALLBACK, None, choice, progress, tell)


def _from_hub(data_dir: Path, progress: Progress, tell: Tell) -> ModelChoice:
    from export.sources import hub  # noqa: PLC0415  (needed at the first start only)

    if not hub.answers(READY_MADE, _HUB_ANSWERS_WITHIN_S) and not hub.is_cached(READY_MADE):
        raise HubUnreachable("The hub does not answer.")
    folder = data_dir / "models"
    try:
        choice = ModelChoice(folder / READY_MADE.rsplit("/", 1)[-1])
        return _exported(READY_MADE, None, choice, progress, tell)
    except NotOnHub:
        choice = ModelChoice(folder / TO_EXPORT.rsplit("/", 1)[-1])
        return _exported(TO_EXPORT, "int4", choice, progress, tell)


def _exported(
    model: str, weights: str | None, choice: ModelChoice, progress: Progress, tell: Tell
) -> ModelChoice:
    from export import export_model  # noqa: PLC0415  (kept out of --help and refusals)

    tell(choice)
    source = model if model in _catalog_names() else str(Path(model).expanduser())
    export_model(source, choice.directory, weights, progress=progress)
    _mark_used(choice.directory)
    return choice


def _last_used(models: Path) -> Path | None:
    """The complete model directory whose manifest was touched last: used, or else made, last."""
    complete = [path for path in models.glob("*") if artifacts.is_complete(path)]
    return max(complete, key=_manifest_time, default=None)


def _manifest_time(directory: Path) -> int:
    try:
        return (directory / artifacts.MANIFEST).stat().st_mtime_ns
    except OSError:
        return 0


def _mark_used(directory: Path) -> None:
    with contextlib.suppress(OSError):  # on a read-only disk the newest one counts
        os.utime(directory / artifacts.MANIFEST)


def _is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf" and path.is_file()


def _is_on_a_hub(text: str) -> bool:
    from export.sources.hub import parse  # noqa: PLC0415  (kept out of `import web`)

    return parse(text.removeprefix(_MODELSCOPE)) is not None


def _catalog_names() -> tuple[str, ...]:
    from export.catalog import CATALOG  # noqa: PLC0415  (kept out of `import web`)

    return tuple(CATALOG)
