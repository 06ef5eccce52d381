"""The GGUF file that the model directory was exported from, for llama.cpp.

Kept in data/downloads once fetched; fetching is the export's own, checked against its pinned sha256.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from export.catalog import CATALOG, fetch

DOWNLOADS = Path("data/downloads")


def original_gguf(model_dir: Path, downloads: Path = DOWNLOADS) -> Path:
    """The file of a catalog model. Raises ExportError, or KeyError for a model of another origin."""
    entry = CATALOG[model_dir.name]
    kept = downloads / entry.member
    if not kept.is_file():
        downloads.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=downloads) as folder:
            found = fetch(entry, Path(folder))
            kept.parent.mkdir(exist_ok=True)
            found.replace(kept)
    return kept
