"""Checkpoints for images and text give the logits of their text part, and nothing of what sees is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.exporter import write_model
from export.families import read_decoder
from export.formats import WeightFormat
from export.metadata import write_metadata
from export.progress import silent
from export.sources.directory import open_directory
from tests.export.checkpoints import random_tensors
from tests.export.folders import FAMILIES, shapes, write_safetensors
from tests.export.plain import PLAIN
from tests.export.reference import F, from_hugging_face
from tests.export.running import Stateful, compiled

TEXT = [(7 * i * i + 3 * i) % 256 for i in range(60)]
KINDS = {
    "gemma3": ("gemma3", FAMILIES["gemma3"]),
    "mistral3": ("mistral3", FAMILIES["mistral"]),
    "ministral3": ("mistral3", PLAIN["ministral3"]),
    "qwen3_vl": ("qwen3_vl", FAMILIES["qwen3"]),
}


def written(folder: Path, kind: str, config: dict[str, Any], *, new: bool) -> dict[str, F]:
    """In the layout of transformers 4, or the new one."""
    tensors = random_tensors(shapes(config))
    names = {
        name: name.replace("model.", "model.language_model.", 1)
        if new
        else f"language_model.{name}"
        for name in tensors
    }
    if new and "lm_head.weight" in names:
        names["lm_head.weight"] = "lm_head.weight"
    stored = {names[name]: values for name, values in tensors.items()}
    front = "model." if new else ""
    stored |= {
        f"{front}{part}.weight": np.ones((4, 4), np.float32)
        for part in ("vision_tower.patch", "multi_modal_projector.linear", "visual.blocks.0")
    }
    text = {**config, "model_type": "qwen3_vl_text" if kind == "qwen3_vl" else config["model_type"]}
    tied = text.pop("tie_word_embeddings")
    whole: dict[str, Any] = {
        "model_type": kind,
        "text_config": text,
        "vision_config": {"hidden_size": 4},
        "tie_word_embeddings": tied,
        "eos_token_id": [1, 106],
    }
    (folder / "config.json").write_text(json.dumps(whole), "utf-8")
    write_safetensors(folder / "model.safetensors", stored, "F32")
    return tensors


@pytest.mark.parametrize("new", [False, True], ids=["transformers 4", "transformers 5"])
@pytest.mark.parametrize("name", KINDS)
def test_the_text_part_is_a_model_of_its_own(tmp_path: Path, name: str, new: bool) -> None:
    kind, config = KINDS[name]
    tensors = written(tmp_path, kind, config, new=new)
    checkpoint = open_directory(tmp_path)
    decoder = read_decoder(checkpoint)
    out = tmp_path / "out"
    out.mkdir()
    write_model(out, decoder, WeightFormat("fp16"), "stateful", silent)
    got = Stateful(compiled(out / "openvino_model.xml")).step([TEXT])[0]
    np.testing.assert_allclose(got, from_hugging_face(config, tensors).logits(TEXT), atol=1e-4)
    write_metadata(out, checkpoint, decoder.spec, [])
    said = json.loads((out / "config.json").read_text("utf-8"))
    assert said["model_type"] == config["model_type"]
    assert "text_config" not in said
    assert json.loads((out / "generation_config.json").read_text("utf-8"))["eos_token_id"][0] in (
        1,
        258,
    )


def test_gemmas_sparse_configurations_mean_what_transformers_assumes(tmp_path: Path) -> None:
    """That of gemma-3-4b-it, which names neither heads nor vocabulary."""
    text = {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    }
    from export.families import FAMILIES as FAMILY_OF

    family = FAMILY_OF["gemma3_text"]
    spec = family.spec({**family.defaults, **text})
    assert (spec.heads, spec.kv_heads, spec.head_dim, spec.vocab) == (8, 4, 256, 262208)
    assert spec.windowed == frozenset(i for i in range(34) if (i + 1) % 6)
    assert spec.tied
