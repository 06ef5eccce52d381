"""What tells one model's files from another's, without reading gigabytes."""

import hashlib
import os
from pathlib import Path

from engine.errors import ModelNotFound
from engine.model.ir_files import ir_stems

_EDGE_BYTES = 1 << 20
_PAGE_BYTES = 4096
_NUM_PAGES = 256


def digest_of_model(model_dir: Path) -> str:
    """Of the IR in `model_dir`, hexadecimal; of its weights samples are read. Raises ModelNotFound."""
    try:
        digest = hashlib.sha256()
        for stem in ir_stems(model_dir):
            digest.update((model_dir / f"{stem}.xml").read_bytes())
            _update_with_samples(digest, model_dir / f"{stem}.bin")
    except OSError as error:
        raise _absent(error) from error
    return digest.hexdigest()


def digest_of_tokenizer(model_dir: Path) -> str:
    """Of the compiled tokenizer in `model_dir`, hexadecimal. Raises ModelNotFound."""
    try:
        digest = hashlib.sha256((model_dir / "openvino_tokenizer.xml").read_bytes())
        digest.update((model_dir / "openvino_tokenizer.bin").read_bytes())
    except OSError as error:
        raise _absent(error) from error
    return digest.hexdigest()


def _absent(error: OSError) -> ModelNotFound:
    return ModelNotFound(f"{error.filename}: {error.strerror}; export the model again.")


def _update_with_samples(digest: "hashlib._Hash", path: Path) -> None:
    """Feed `digest` the file's size, its first and last MiB, and pages evenly spaced between."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest.update(size.to_bytes(8, "little"))
        for i in range(_NUM_PAGES):
            file.seek(i * size // _NUM_PAGES)
            digest.update(file.read(_PAGE_BYTES))
        for begin in (0, max(0, size - _EDGE_BYTES)):
            file.seek(begin)
            digest.update(file.read(_EDGE_BYTES))
