"""Models from ModelScope, by its own client: only the files that are needed."""

from __future__ import annotations

from pathlib import Path

from export.errors import ExportError
from export.progress import Progress, silent
from export.sources.gguf_parts import part_names
from export.sources.hub_source import SMALL_FILES, HubSource

MODELSCOPE = "modelscope:"


def download_from_modelscope(source: HubSource, progress: Progress = silent) -> Path:
    """The same from ModelScope, by its own client (`pip install modelscope`)."""
    try:
        from modelscope import snapshot_download  # noqa: PLC0415
    except ImportError as error:
        raise ExportError(
            "Models from ModelScope need its client; run `pip install modelscope` first."
        ) from error
    what = f"Downloading {source.repository}"
    progress(what, 0, 1)
    weights = ("openvino_*", "model*.safetensors", "gptq_model*.safetensors", "pytorch_model*.bin")
    try:
        folder = snapshot_download(
            source.repository,
            revision=source.revision,
            allow_patterns=[*SMALL_FILES, *weights]
            if source.gguf is None
            else part_names(source.gguf),
        )
    except Exception as error:
        raise ExportError(
            f"{source.repository} could not be fetched from ModelScope ({error}); check the name "
            "and the network, then run the same command."
        ) from error
    progress(what, 1, 1)
    return Path(folder) / (source.gguf or "")
