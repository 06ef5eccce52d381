"""The folder for what Gradio writes: uploads until they are read, pictures of its own.

Owns: where that is, ours alone, since the one that Gradio takes by itself, in the system's folder for
temporary files, may belong to another user. Does not know what is in it.
"""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import MutableMapping
from pathlib import Path

log = logging.getLogger(__name__)

_LEFT_BEHIND_S = 3600.0  # older than that, a file was left by a program that was killed


def claim(data_dir: Path, environ: MutableMapping[str, str] = os.environ) -> Path:
    """Let Gradio write below `data_dir`, or, where that cannot be, in a new temporary folder."""
    folder = data_dir.absolute() / "uploads"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        _sweep(folder)
    except OSError as error:
        log.warning("%s: %s; uploads go to a temporary folder.", folder, error.strerror)
        folder = Path(tempfile.mkdtemp(prefix="warmchat-"))
    folder = folder.resolve()
    environ["GRADIO_TEMP_DIR"] = str(folder)
    environ["GRADIO_EXAMPLES_CACHE"] = str(folder / "examples")
    return folder


def _sweep(folder: Path) -> None:
    oldest = time.time() - _LEFT_BEHIND_S
    for path in folder.iterdir():
        if path.lstat().st_mtime > oldest:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
