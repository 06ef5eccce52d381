"""Families with recurrent layers, from their own file layout to logits, against the independent reference at 1e-4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from export.errors import ExportError
from export.families import read_decoder
from export.sources.directory import open_directory
from tests.export import hybrid_reference
from tests.export.folders import Config
from tests.export.hybrid_folders import (
    GRANITE,
    HYBRIDS,
    QWEN3_5_TEXT,
    is_linear,
    text_config,
    write_hybrid,
)
from tests.export.hybrid_running import PagedHybrid, Part, executed
from tests.export.record_hybrid_logits import EVERY, RECORDED
from tests.export.running import F, Stateful, compiled, pieces
from tests.export.test_families import OTHER, TEXT, close, write_ir

OPERATIONS = {
    "qwen3_5_text": "GatedDeltaNet",
    "qwen3_next": "GatedDeltaNet",
    "granitemoehybrid": "SelectiveSSM",
}
STATEFUL = ("GatedDeltaNet",)  # what OpenVINO has for the CPU without pages; the others stay loops
Hybrid = tuple[Path, Config, dict[str, F], Path]  # the IR, what it was made of
FAR = 48  # where a checkpoint lies


@pytest.fixture(scope="module", params=HYBRIDS, ids=str)
def hybrid(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Hybrid:
    config, folder = HYBRIDS[request.param], tmp_path_factory.mktemp("source")
    tensors = write_hybrid(folder, config)
    return write_ir(folder, tmp_path_factory.mktemp("ir")), config, tensors, folder


@pytest.fixture(scope="module")
def wanted(hybrid: Hybrid) -> F:
    return hybrid_reference.logits(hybrid[1], hybrid[2], TEXT)


@pytest.fixture(scope="module")
def wanted_other(hybrid: Hybrid) -> F:
    return hybrid_reference.logits(hybrid[1], hybrid[2], OTHER)


@pytest.fixture(scope="module")
def paged(hybrid: Hybrid) -> PagedHybrid:
    return PagedHybrid(hybrid[0])


@pytest.mark.parametrize("kv", ["stateful", "explicit"])
def test_whole_in_chunks_token_by_token_and_padded_equal_the_reference(
    hybrid: Hybrid, wanted: F, wanted_other: F, kv: str, tmp_path: Path
) -> None:
    xml = hybrid[0] if kv == "stateful" else write_ir(hybrid[3], tmp_path, kv)
    run = Stateful(compiled(xml))
    close(run.step([TEXT])[0], wanted)
    run.reset()
    close(np.concatenate([run.step([part])[0] for part in pieces(TEXT, 33, 29)]), wanted)
    run.reset()
    pad = len(TEXT) - len(OTHER)
    mask = [[1] * len(TEXT), [0] * pad + [1] * len(OTHER)]
    both = run.step([TEXT, [0] * pad + OTHER], mask)
    close(both[0], wanted)
    close(both[1, pad:], wanted_other)


def test_openvino_has_its_own_operations_for_every_recurrent_layer(
    hybrid: Hybrid, paged: PagedHybrid
) -> None:
    """In the paged graph, in what is executed of it, and in what is executed of the stateful one."""
    config = text_config(hybrid[1])
    layers, operation = config["num_hidden_layers"], OPERATIONS[config["model_type"]]
    linear = sum(is_linear(config, layer) for layer in range(layers))
    for name in ("PagedCausalConv1D", f"Paged{operation}"):
        assert paged.operations[name] == linear
        assert paged.kinds[name] == linear
    assert paged.operations["PagedAttentionExtension"] == layers - linear
    assert not {"Loop", "TensorIterator", "GroupConvolution"} & paged.operations.keys()
    assert len(paged.states) == 2 * linear
    if operation in STATEFUL:
        assert executed(compiled(hybrid[0]))[operation] == linear


def test_two_sequences_at_once_in_chunks_and_single_tokens_equal_the_reference(
    paged: PagedHybrid, wanted: F, wanted_other: F
) -> None:
    got, got_other = list[F](), list[F]()
    others = pieces(OTHER, 28)
    parts = pieces(TEXT, 37, 20)[: len(others)]
    past = other_past = 0
    for i, (part, other) in enumerate(zip(parts, others, strict=True)):
        read, other_read = (0, 0) if i == 0 else (1, 2)
        logits = paged.step(
            Part(part, past, [5, 3, 9], [read, 1]), Part(other, other_past, [7, 2], [other_read, 2])
        )
        got.append(logits[0])
        got_other.append(logits[1])
        past, other_past = past + len(part), other_past + len(other)
    close(np.concatenate(got), wanted[:past])
    close(np.concatenate(got_other), wanted_other)


def test_a_sequence_goes_on_from_a_checkpoint_and_from_a_copied_one(
    paged: PagedHybrid, wanted: F
) -> None:
    """The state behind every 16 tokens is kept; blocks 3 to 7 are written, the last behind the last token."""
    (whole,) = paged.step(Part(TEXT, 0, [1, 4, 6], [0, 3, 4, 5, 6, 7], 16))
    close(whole, wanted)
    paged.copy_state(5, 8)
    (again,) = paged.step(Part(TEXT[FAR:], FAR, [1, 4, 6], [5, 9]))
    close(again, wanted[FAR:])
    (fork,) = paged.step(Part(TEXT[FAR:], FAR, [1, 4, 6], [8, 8]))
    close(fork, wanted[FAR:])


def test_positions_are_those_that_are_given(hybrid: Hybrid, paged: PagedHybrid) -> None:
    """The logits of a model that rotates move if all tokens are said to stand at the same place."""
    rotates = hybrid[1].get("position_embedding_type") != "nope"
    (usual,) = paged.step(Part(TEXT, 0, [1, 4, 6], [0, 3]))
    (stuck,) = paged.step(Part(TEXT, 0, [1, 4, 6], [0, 3]), at_the_same_place=True)
    assert (np.abs(usual - stuck).max() > 0.01) == rotates


@pytest.mark.parametrize("form", ["int8", "int4"])
def test_quantised_models_run_and_keep_what_is_sensitive_exact(
    hybrid: Hybrid, wanted: F, form: str, tmp_path: Path
) -> None:
    """Large matrices are codes; convolutions, norms and rates are float32, what says how much is forgotten 16 bits."""
    xml = write_ir(hybrid[3], tmp_path, weights=form)
    types = {
        node.get_friendly_name(): node.get_element_type().get_type_name()
        for node in ov.Core().read_model(xml).get_ops()
        if node.get_type_name() == "Constant"
    }
    layer = "model.layers.0."
    is_qwen = "qwen3" in text_config(hybrid[1])["model_type"]
    codes = ("linear_attn.in_proj_qkv", "linear_attn.out_proj") if is_qwen else ("mamba.conv_proj",)
    fine = ("linear_attn.in_proj_a", "linear_attn.in_proj_b") if is_qwen else ("mamba.dt_proj",)
    assert {types[f"{layer}{name}.weight"] for name in codes} == {"u8" if form == "int8" else "u4"}
    assert {types[f"{layer}{name}.weight"] for name in fine} <= {"f16", "bf16"}
    paged = PagedHybrid(xml)
    assert paged.operations["PagedCausalConv1D"]
    (got,) = paged.step(Part(TEXT, 0, [1, 4, 6], [0, 3]))
    alike = np.corrcoef(got.reshape(-1), wanted.reshape(-1))[0, 1]
    # Random weights forgive little, and an expert that is chosen otherwise is a large error.
    assert alike > {"int8": 0.97, "int4": 0.6}[form]
    close(Stateful(compiled(xml)).step([TEXT])[0], got)


@pytest.mark.parametrize("name", HYBRIDS)
def test_the_reference_says_what_transformers_says(tmp_path: Path, name: str) -> None:
    tensors = write_hybrid(tmp_path, HYBRIDS[name])
    got = hybrid_reference.logits(HYBRIDS[name], tensors, TEXT)[::EVERY]
    close(got, np.load(RECORDED)[name])


@pytest.mark.parametrize(
    ("config", "change", "said"),
    [
        (QWEN3_5_TEXT, {"linear_num_value_heads": 3}, "3 attention heads do not divide among 2"),
        (QWEN3_5_TEXT, {"linear_value_head_dim": 8}, "belong to different models"),
        (QWEN3_5_TEXT, {"layer_types": ["conv"] * 4}, "layers of the kind conv"),
        (QWEN3_5_TEXT, {"num_experts": 4}, "mixture of experts"),
        (GRANITE, {"mamba_n_groups": 3}, "8 attention heads do not divide among 3"),
        (GRANITE, {"num_local_experts": 4}, "mixture of experts"),
        (GRANITE, {"layer_types": ["mamba", "moe", "mamba"]}, "layers of the kind moe"),
        (GRANITE, {"mamba_d_state": 8}, "lacks model.layers.0.mamba"),
    ],
    ids=str,
)
def test_what_is_not_modelled_is_refused(
    tmp_path: Path, config: Config, change: Config, said: str
) -> None:
    write_hybrid(tmp_path, config)
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}), "utf-8")
    with pytest.raises(ExportError) as caught:
        read_decoder(open_directory(tmp_path))
    assert said in str(caught.value)
