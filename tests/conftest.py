"""The default model, exported once as `python app.py` does it, and which tests run a real one."""

from pathlib import Path

import pytest
from filelock import FileLock

from export import export_model
from tests import ROOT

DEFAULT_MODEL = "smollm2-135m-instruct"
_REAL = {"smollm2_dir", "smollm2_gguf"}

pytest_plugins = ["tests.scripted.fixtures"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the real model, and what needs Chromium, so that each can be left out."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & _REAL:
            item.add_marker("model")
        if "browser" in names:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def smollm2_dir() -> Path:
    """The model directory of SmolLM2-135M-Instruct."""
    folder = ROOT / "data" / "models" / DEFAULT_MODEL
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):  # several processes run tests
        return export_model(DEFAULT_MODEL, folder)
