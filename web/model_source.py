"""From what --model says to a complete model directory.

Owns: how a reference is told apart (catalog name, directory, GGUF file), where its export goes, and
when it is made. Does not know how a model is exported, nor what the engine needs of a directory.
"""

import argparse
from pathlib import Path

from export.progress import Progress

DEFAULT_MODEL = "smollm2-135m-instruct"


def model_reference(text: str) -> str:
    """`text` if it names a known model, a model directory or a GGUF file; else a refusal."""
    path = Path(text).expanduser()
    if text in _catalog_names() or _is_gguf(path):
        return text
    if path.is_dir():
        if (path / "openvino_model.xml").is_file():
            return text
        raise argparse.ArgumentTypeError(
            f"{text}: no openvino_model.xml in this directory; "
            f"export it first: python -m export {text} --out DIR."
        )
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither a known model ({', '.join(_catalog_names())}), nor a model directory, "
        "nor a .gguf file."
    )


def export_dir(model: str, data_dir: Path) -> Path | None:
    """Where the export of `model` belongs, or None if `model` is a model directory already."""
    path = Path(model).expanduser()
    if model not in _catalog_names() and path.is_dir():
        return None
    return data_dir / "models" / (path.stem if _is_gguf(path) else model)


def ready_model_dir(model: str, data_dir: Path, progress: Progress) -> Path:
    """The directory of `model`, exported first if need be.

    progress is called with (what, done, total) while it is. Raises ExportError.
    """
    target = export_dir(model, data_dir)
    if target is None:
        return Path(model).expanduser()
    from export import export_model  # noqa: PLC0415  (kept out of --help and refusals)

    target.parent.mkdir(parents=True, exist_ok=True)
    export_model(_source(model), target, progress=progress)
    return target


def _source(model: str) -> str:
    return model if model in _catalog_names() else str(Path(model).expanduser())


def _is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf" and path.is_file()


def _catalog_names() -> tuple[str, ...]:
    from export.catalog import CATALOG  # noqa: PLC0415  (kept out of `import web`)

    return tuple(CATALOG)
