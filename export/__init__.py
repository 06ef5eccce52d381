"""Any checkpoint -> a model directory in OpenVINO IR, without PyTorch.

`export_model` is the Python entry, `python -m export` the command. The engine and this package
know each other only through the model directory. Importing this package is cheap.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.progress import Progress, silent

__all__ = [
    "ExportError",
    "artifacts",
    "catalog",
    "errors",
    "export_model",
    "progress",
    "ready_made",
    "sources",
]


def export_model(
    source: str,
    out: Path,
    weights: str | None = None,
    kv: str = "stateful",
    progress: Progress = silent,
    **int4_options: Any,
) -> Path:
    """Export `source` (catalog name, GGUF file, model folder) into `out`, and return `out`.

    `weights` is one of export.formats.FORMATS, None for the source's default; int4 takes the
    options of export.formats.WeightFormat. Does nothing where the same export is complete
    already. Raises ExportError; `out` is then as it was before.
    """
    from export.exporter import Request, run  # noqa: PLC0415  (imports OpenVINO)
    from export.formats import WeightFormat  # noqa: PLC0415

    if weights is None and int4_options:
        raise ExportError("Group size, symmetry and scale search belong to --weights int4.")
    chosen = None if weights is None else WeightFormat(weights, **int4_options)
    return run(Request(source, chosen, kv), out, progress)
