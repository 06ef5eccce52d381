"""Writes what transformers' own models say of the tiny hybrids, for tests that do without torch.

Needs torch beside the project's packages (seen with 2.13.0, transformers 5.23.0):

    python -m tests.export.record_hybrid_logits
"""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.export.hybrid_folders import HYBRIDS, write_hybrid
from tests.export.test_families import TEXT

RECORDED = Path(__file__).with_name("hybrid_logits.npz")
EVERY = 23  # rows that are kept


def main() -> None:
    """Record all of them."""
    torch: Any = importlib.import_module("torch")
    models: Any = importlib.import_module("transformers").AutoModelForCausalLM
    said = {}
    for name, config in HYBRIDS.items():
        with tempfile.TemporaryDirectory() as folder:
            write_hybrid(Path(folder), config)
            model = models.from_pretrained(folder).float().eval()
            with torch.no_grad():
                said[name] = model(torch.tensor([TEXT])).logits[0, ::EVERY].numpy()
    np.savez_compressed(RECORDED, **said)


if __name__ == "__main__":
    main()
