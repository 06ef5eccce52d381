"""The default model, exported once as `python app.py` does it, for the tests that need a real one."""

from pathlib import Path

import pytest

from export import export_model
from tests import ROOT

DEFAULT_MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="session")
def smollm2_dir() -> Path:
    """The model directory of SmolLM2-135M-Instruct."""
    return export_model(DEFAULT_MODEL, ROOT / "data" / "models" / DEFAULT_MODEL)
