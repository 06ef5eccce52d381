"""The export from end to end: find the source, read it, build the graph, write the directory.

Writes all or nothing (export.artifacts.staged) and does nothing where the same export is
complete already.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export import artifacts, catalog, ready_made
from export.errors import ExportError
from export.families import read_decoder
from export.formats import WeightFormat
from export.metadata import write_metadata
from export.packing import Scratch, Weight
from export.progress import Progress
from export.sources import hub
from export.sources.checkpoint import Checkpoint
from export.sources.directory import open_directory
from export.sources.gguf_parts import parts_of
from export.spec import Decoder
from export.tensors import Floats

KV_FORMS = ("stateful", "explicit")


@dataclass(frozen=True)
class Request:
    """What is asked for; the manifest records it."""

    source: str
    weights: WeightFormat | None
    kv: str

    def __post_init__(self) -> None:
        """Raise ExportError for an unknown form of the KV."""
        if self.kv not in KV_FORMS:
            raise ExportError(f"There is no KV form {self.kv!r} (there are: stateful, explicit).")


def run(request: Request, out: Path, progress: Progress) -> Path:
    """Export unless `out` holds the same already; returns `out`."""
    if _is_done(request, out):
        return out
    with _no_space_is_said(out), artifacts.staged(out) as folder:
        with tempfile.TemporaryDirectory(dir=folder) as downloads:
            path = _find(request.source, Path(downloads), progress)
            label = _fill(folder, path, request, progress)
        about = {"source": _source(request), "weights": label, "kv": request.kv}
        artifacts.write_manifest(folder, about)
    return out


def default_format(checkpoint: Checkpoint) -> WeightFormat:
    """What is quantised already as it is, anything else in int8."""
    return WeightFormat("native" if checkpoint.is_quantized else "int8")


def _is_done(request: Request, out: Path) -> bool:
    manifest = artifacts.read_manifest(out)
    if manifest is None or not artifacts.is_complete(out):
        return False
    same_weights = request.weights is None or manifest["weights"] == request.weights.label
    return bool(
        same_weights and [manifest["source"], manifest["kv"]] == [_source(request), request.kv]
    )


def _source(request: Request) -> dict[str, Any]:
    """What identifies the source's contents without reading them."""
    if request.source in catalog.CATALOG:
        entry = catalog.CATALOG[request.source]
        return {"name": entry.name, "package": entry.requirement, "sha256": entry.sha256}
    path = Path(request.source).resolve()
    if not path.exists():
        return {"hub": request.source}
    paths = parts_of(path) if path.is_file() else sorted(path.glob("*"))
    states = {item.name: item.stat() for item in paths if item.is_file()}
    files = {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}
    return {"path": str(path), "files": files}


def _find(source: str, downloads: Path, progress: Progress) -> Path:
    """The folder or GGUF file of a source, fetched if need be."""
    if source in catalog.CATALOG:
        return catalog.fetch(catalog.CATALOG[source], downloads, progress)
    path = Path(source)
    return path if path.exists() else _fetch(source, progress)


def _fill(folder: Path, path: Path, request: Request, progress: Progress) -> str:
    """Write the model into `folder`; returns what its weights are called."""
    from_hub = request.source not in catalog.CATALOG and not Path(request.source).exists()
    if from_hub and artifacts.is_model_directory(path):
        if request.weights is not None or request.kv != "stateful":
            raise ExportError(
                f"{request.source} is an OpenVINO model already, taken as it is; leave out "
                "--weights and --kv, or export the checkpoint that it was made from."
            )
        ready_made.take(path, folder)
        return ready_made.LABEL
    checkpoint = _open(path)
    weights = request.weights or default_format(checkpoint)
    _write(folder, checkpoint, weights, request.kv, progress)
    return weights.label


def _open(path: Path) -> Checkpoint:
    from export.sources.gguf import open_gguf  # noqa: PLC0415  (gguf is slow to import)

    return open_directory(path) if path.is_dir() else open_gguf(path)


def _fetch(source: str, progress: Progress) -> Path:
    """Where the files of a hub's model are, once they are here."""
    here = source.removeprefix(hub.MODELSCOPE)
    found = hub.parse(here)
    if found is None:
        raise ExportError(
            f"{source} is neither a file nor a folder, nor owner/name on the hub, nor in the "
            f"catalog ({', '.join(catalog.CATALOG)})."
        )
    if here != source:
        return hub.download_from_modelscope(found, progress)
    return hub.download(found, progress)


def _write(
    folder: Path, checkpoint: Checkpoint, weights: WeightFormat, kv: str, progress: Progress
) -> None:
    from export import tokenizer  # noqa: PLC0415

    decoder = read_decoder(checkpoint)
    weights.check(decoder.tensors)
    if checkpoint.is_gguf:
        source = tokenizer.from_gguf(checkpoint.gguf_reader)
    else:
        source = tokenizer.from_directory(checkpoint.path, str(checkpoint.config["model_type"]))
    tokenizer.write(source, folder)
    write_metadata(folder, checkpoint, decoder.spec, source.eos_token_ids)
    write_model(folder, decoder, weights, kv, progress)


def write_model(
    folder: Path, decoder: Decoder, weights: WeightFormat, kv: str, progress: Progress
) -> None:
    """Write openvino_model.xml and .bin; memory stays bounded whatever the model's size."""
    import openvino as ov  # noqa: PLC0415

    from export.graph import build_model  # noqa: PLC0415

    store = _Store(decoder, weights, Scratch(folder), progress)
    model = build_model(decoder.spec, store, stateful=kv == "stateful")
    model.set_rt_info("warmchat", ["exported_by"])
    progress("Writing the model", 0, 1)
    ov.save_model(model, folder / artifacts.MODEL_XML, compress_to_fp16=False)
    progress("Writing the model", 1, 1)


class _Store:
    """Converts the decoder's weights as the graph asks for them."""

    def __init__(
        self, decoder: Decoder, weights: WeightFormat, scratch: Scratch, progress: Progress
    ) -> None:
        self._tensors = decoder.tensors
        self._weights, self._scratch, self._progress = weights, scratch, progress
        self._total = sum(
            t.shape[0] * t.shape[1] for t in self._tensors.values() if len(t.shape) == 2
        )
        self._done = 0
        # The model's constants share their memory; it must live until the model is written.
        self._kept: list[Weight] = []

    def matrix(self, name: str) -> Weight:
        """The weight in the chosen format."""
        tensor = self._tensors[name]
        weight = self._weights.store(name, tensor, self._scratch)
        self._kept.append(weight)
        self._done += tensor.shape[0] * tensor.shape[1]
        self._progress("Converting weights", self._done, self._total)
        return weight

    def vector(self, name: str) -> Floats:
        """A norm's weight or a bias as float32."""
        return self._tensors[name].read()


@contextmanager
def _no_space_is_said(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ExportError(
                f"No space is left on the disk of {out.parent}; free some or choose another "
                "folder with --out."
            ) from error
        raise ExportError(f"{error.filename or out}: {os.strerror(error.errno or 0)}.") from error
    except RuntimeError as error:
        if "iostream" not in str(error):  # all that OpenVINO says when a file cannot be written
            raise
        raise ExportError(
            f"The model could not be written to {out.parent}, most likely because no space is left "
            "there; free some or choose another folder with --out."
        ) from error
