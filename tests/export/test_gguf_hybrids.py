"""GGUF files of models with recurrent layers say what the checkpoints that they were made of say."""

from pathlib import Path

import numpy as np
import pytest

from export.errors import ExportError
from export.exporter import write_model
from export.families import read_decoder
from export.formats import WeightFormat
from export.progress import silent
from export.sources.gguf import open_gguf
from tests.export import hybrid_reference
from tests.export.folders import FAMILIES, Config, write_folder
from tests.export.hybrid_folders import GRANITE, GRANITE_ROTATED, QWEN3_5_TEXT, write_hybrid
from tests.export.hybrid_gguf import write_hybrid_gguf
from tests.export.hybrid_running import PagedHybrid, Part
from tests.export.lfm2_reference import from_lfm2
from tests.export.running import F, Stateful, compiled
from tests.export.test_families import TEXT, close

INTERVAL = {key: value for key, value in QWEN3_5_TEXT.items() if key != "layer_types"}
FILES: dict[str, Config] = {
    "qwen35": {**INTERVAL, "full_attention_interval": 2},
    "qwen35 (one value head for each key head)": {
        **INTERVAL,
        "full_attention_interval": 4,
        "linear_num_value_heads": 2,
    },
    "granitehybrid": GRANITE,
    "granitehybrid (rotated, two groups)": {
        **GRANITE_ROTATED,
        "layer_types": ["mamba", "attention", "mamba"],
        "mamba_proj_bias": False,
        "time_step_limit": [0.0],
    },
    "lfm2": FAMILIES["lfm2"],
}


def checkpoint(folder: Path, config: Config) -> tuple[dict[str, F], F]:
    """Its tensors, and what it says."""
    if config["model_type"] == "lfm2":
        tensors = write_folder(folder, config)
        return tensors, from_lfm2(config, tensors).logits(TEXT)
    kinds = [
        "full_attention" if not (i + 1) % config["full_attention_interval"] else "linear_attention"
        for i in range(config["num_hidden_layers"])
    ] if "full_attention_interval" in config else config["layer_types"]  # fmt: skip
    config = {**config, "layer_types": kinds}
    tensors = write_hybrid(folder, config)
    return tensors, hybrid_reference.logits(config, tensors, TEXT)


def exported(gguf: Path, out: Path, weights: str) -> Path:
    out.mkdir()
    write_model(out, read_decoder(open_gguf(gguf)), WeightFormat(weights), "stateful", silent)
    return out / "openvino_model.xml"


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_what_its_checkpoint_says(tmp_path: Path, name: str) -> None:
    tensors, wanted = checkpoint(tmp_path / "checkpoint", FILES[name])
    gguf = write_hybrid_gguf(tmp_path / "tiny.gguf", FILES[name], tensors)
    xml = exported(gguf, tmp_path / "ir", "fp16")
    close(Stateful(compiled(xml)).step([TEXT])[0], wanted)
    close(PagedHybrid(xml).step(Part(TEXT, 0, [1, 4, 6], [0, 3]))[0], wanted)


@pytest.mark.parametrize("name", FILES)
def test_its_own_codes_are_kept(tmp_path: Path, name: str) -> None:
    tensors, wanted = checkpoint(tmp_path / "checkpoint", FILES[name])
    gguf = write_hybrid_gguf(tmp_path / "tiny.gguf", FILES[name], tensors, "Q8_0")
    xml = exported(gguf, tmp_path / "ir", "native")
    (got,) = PagedHybrid(xml).step(Part(TEXT, 0, [1, 4, 6], [0, 3]))
    assert np.corrcoef(got.reshape(-1), wanted.reshape(-1))[0, 1] > 0.99
    close(Stateful(compiled(xml)).step([TEXT])[0], got)


def test_damaged_sizes_are_said(tmp_path: Path) -> None:
    config = {**FILES["granitehybrid"], "mamba_n_heads": 7}
    tensors, _ = checkpoint(tmp_path / "checkpoint", FILES["granitehybrid"])
    gguf = write_hybrid_gguf(tmp_path / "tiny.gguf", config, tensors)
    with pytest.raises(ExportError, match="lacks model"):
        read_decoder(open_gguf(gguf))
