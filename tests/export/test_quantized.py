"""Checkpoints that are quantised already: each form against the values that its codes stand for, at 1e-4."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from export.errors import ExportError
from export.exporter import default_format, write_model
from export.families import read_decoder
from export.formats import WeightFormat
from export.metadata import write_metadata
from export.progress import silent
from export.sources.directory import open_directory
from tests.export.checkpoints import VOCAB
from tests.export.folders import FAMILIES, LLAMA, Config
from tests.export.quantized import (
    Writer,
    awq,
    compressed,
    float8,
    gptq,
    int8,
    write_parts,
    write_quantized,
)
from tests.export.reference import F, from_hugging_face
from tests.export.running import Paged, Stateful, compiled, pieces
from tests.export.test_families import TEXT, close, goes_through_the_engine

SMALL: Config = {**LLAMA, "intermediate_size": 128}
GPTQ: Config = {
    "quant_method": "gptq",
    "bits": 4,
    "group_size": 32,
    "desc_act": False,
    "sym": False,
}
AWQ: Config = {
    "quant_method": "awq",
    "bits": 4,
    "group_size": 32,
    "version": "gemm",
    "zero_point": True,
}

PACKED: Config = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
INT: Config = {"quant_method": "compressed-tensors", "format": "int-quantized"}
FLOAT: Config = {"quant_method": "compressed-tensors", "format": "float-quantized"}
FP8: Config = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic"}


@dataclass(frozen=True)
class Form:
    settings: Config
    write: Writer
    codes: str = "u4"
    more: Config = field(default_factory=dict)

    @property
    def config(self) -> Config:
        return {**SMALL, "quantization_config": self.settings, **self.more}


FORMS = {
    "gptq": Form(GPTQ, gptq()),
    "gptq v1 by name": Form({**GPTQ, "checkpoint_format": "gptq"}, gptq()),
    "gptq v2": Form({**GPTQ, "checkpoint_format": "gptq_v2"}, gptq(stored_less=0)),
    "gptq (symmetric)": Form({**GPTQ, "sym": True}, gptq(symmetric=True)),
    "gptq v2 (symmetric) that goes by the name of v1": Form(
        {**GPTQ, "sym": True, "checkpoint_format": "gptq"}, gptq(symmetric=True, stored_less=0)
    ),
    "gptq (whole rows)": Form({**GPTQ, "group_size": -1}, gptq(group=None)),
    "gptq (no index)": Form(GPTQ, gptq(index="absent")),
    "gptq (index never written)": Form(GPTQ, gptq(index="zeros")),
    "gptq (8 bits)": Form({**GPTQ, "bits": 8}, gptq(bits=8), "u8"),
    "gptq (desc_act)": Form({**GPTQ, "desc_act": True}, gptq(index="shuffled")),
    "awq": Form(AWQ, awq()),
    "compressed-tensors": Form(PACKED, compressed()),
    "compressed-tensors (asymmetric)": Form(PACKED, compressed(symmetric=False)),
    "compressed-tensors (whole rows)": Form(PACKED, compressed(group=None, symmetric=False)),
    "compressed-tensors (8 bits)": Form(PACKED, compressed(bits=8, symmetric=False), "u8"),
    "compressed-tensors (scales in bfloat16)": Form(PACKED, compressed(scales="BF16")),
    "compressed-tensors (columns in any order)": Form(PACKED, compressed(index="shuffled")),
    "compressed-tensors (order never written)": Form(PACKED, compressed(index="unwritten")),
    "compressed-tensors (int8)": Form(INT, int8(), "u8"),
    "compressed-tensors (int8, asymmetric)": Form(INT, int8(symmetric=False), "u8"),
    "compressed-tensors (int8 in groups)": Form(INT, int8(group=32, symmetric=False), "u8"),
    "compressed-tensors (int8, one scale)": Form(INT, int8(whole=True), "u8"),
    "compressed-tensors, by its former name": Form(
        {}, compressed(), more={"compression_config": {"format": "pack-quantized"}}
    ),
    "compressed-tensors (fp8 by row)": Form(FLOAT, float8((1, 10**6), "weight_scale"), "f16"),
    "compressed-tensors (fp8, one scale)": Form(FLOAT, float8(None, "weight_scale", (1,)), "f16"),
    "compressed-tensors (fp8 in blocks)": Form(
        {**FLOAT, "config_groups": {"group_0": {"weights": {"block_structure": [24, 40]}}}},
        float8((24, 40), "weight_scale"),
        "f16",
    ),
    "fp8 in blocks": Form({**FP8, "weight_block_size": [48, 24]}, float8((48, 24)), "f16"),
    "fp8 (one scale)": Form({**FP8, "weight_block_size": None}, float8(None, shape=()), "f16"),
    "fbgemm": Form({"quant_method": "fbgemm_fp8"}, float8((1, 10**6), "weight_scale"), "f16"),
    "awq (whole rows)": Form({**AWQ, "group_size": -1}, awq(group=None)),
}


def write_ir(folder: Path, out: Path, weights: str | None = None) -> Path:
    """With the weights that an export takes by itself, if none are named."""
    out.mkdir(exist_ok=True)
    checkpoint = open_directory(folder)
    chosen = default_format(checkpoint) if weights is None else WeightFormat(weights)
    write_model(out, read_decoder(checkpoint), chosen, "stateful", silent)
    return out / "openvino_model.xml"


def kinds_of_projections(xml: Path) -> Counter[str]:
    model = ov.Core().read_model(xml)
    return Counter(
        node.get_element_type().get_type_name()
        for node in model.get_ops()
        if node.get_type_name() == "Constant" and node.get_friendly_name().endswith("proj.weight")
    )


def in_float16(tensors: dict[str, F]) -> dict[str, F]:
    return {name: values.astype(np.float16).astype(np.float32) for name, values in tensors.items()}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_codes_are_kept_and_give_the_values_that_they_stand_for(tmp_path: Path, form: Form) -> None:
    tensors = write_quantized(tmp_path / "source", form.config, form.write)
    if form.codes == "f16":
        tensors = in_float16(tensors)
    wanted = from_hugging_face(form.config, tensors).logits(TEXT)
    xml = write_ir(tmp_path / "source", tmp_path / "out")
    assert kinds_of_projections(xml) == {form.codes: 14}
    run = Stateful(compiled(xml))
    close(run.step([TEXT])[0], wanted)
    run.reset()
    close(np.concatenate([run.step([part])[0] for part in pieces(TEXT, 33, 29)]), wanted)
    paged = Paged(xml)
    close(np.concatenate([paged.step(part) for part in pieces(TEXT, 37, 23)]), wanted)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_value_is_read_exactly(tmp_path: Path, form: Form) -> None:
    tensors = write_quantized(tmp_path, form.config, form.write)
    read = open_directory(tmp_path).tensors
    assert read.keys() == tensors.keys()
    for name, values in tensors.items():
        np.testing.assert_array_equal(read[name].read(), values)
        np.testing.assert_array_equal(read[name].read(3, 18), values[3:18])


@pytest.mark.parametrize("name", ["gptq (desc_act)", "awq", "fp8 in blocks"])
def test_the_engine_runs_them_with_a_graph_for_single_tokens(tmp_path: Path, name: str) -> None:
    form = FORMS[name]
    tensors = write_quantized(tmp_path / "source", form.config, form.write)
    if form.codes == "f16":
        tensors = in_float16(tensors)
    wanted = from_hugging_face(form.config, tensors).logits(TEXT)
    goes_through_the_engine(write_ir(tmp_path / "source", tmp_path / "out"), wanted)


def test_all_but_the_projections_stays_in_16_bits_unless_a_format_is_asked_for(
    tmp_path: Path,
) -> None:
    config = {**SMALL, "quantization_config": GPTQ}
    write_quantized(tmp_path / "source", config, gptq())
    model = ov.Core().read_model(write_ir(tmp_path / "source", tmp_path / "out"))
    kinds = {
        op.get_friendly_name(): op.get_element_type().get_type_name() for op in model.get_ops()
    }
    assert kinds["model.embed_tokens.weight"] == kinds["lm_head.weight"] == "f16"
    xml = write_ir(tmp_path / "source", tmp_path / "int8", "int8")
    assert kinds_of_projections(xml) == {"u8": 14}
    xml = write_ir(tmp_path / "source", tmp_path / "fp16", "fp16")
    assert kinds_of_projections(xml) == {"f16": 14}


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_quantized_head_is_kept_too(tmp_path: Path, shuffled: bool) -> None:
    config = {**SMALL, "quantization_config": GPTQ}
    write = gptq(index="shuffled" if shuffled else "natural")
    parts, values = write(VOCAB, 64, np.random.default_rng(1))
    more = {f"lm_head.{part}": value for part, value in parts.items()}
    tensors = write_quantized(
        tmp_path / "source", {**config, "tie_word_embeddings": True}, gptq(), more
    )
    (tmp_path / "source" / "config.json").write_text(json.dumps(config), "utf-8")
    wanted = from_hugging_face(config, {**tensors, "lm_head.weight": values}).logits(TEXT)
    run = Stateful(compiled(write_ir(tmp_path / "source", tmp_path / "out")))
    close(run.step([TEXT])[0], wanted)


@pytest.mark.parametrize("family", ["phi3", "glm", "qwen2", "gemma3", "internlm2"])
def test_what_families_take_apart_or_reorder_comes_in_codes_too(
    tmp_path: Path, family: str
) -> None:
    config = {**FAMILIES[family], "intermediate_size": 128, "quantization_config": GPTQ}
    tensors = write_quantized(tmp_path / "source", config, gptq(index="shuffled"))
    xml = write_ir(tmp_path / "source", tmp_path / "out")
    assert kinds_of_projections(xml) == {"u4": 14}
    run = Stateful(compiled(xml))
    close(run.step([TEXT])[0], from_hugging_face(config, tensors).logits(TEXT))


def test_the_exported_configuration_speaks_of_no_quantization(tmp_path: Path) -> None:
    config = {**SMALL, "quantization_config": GPTQ}
    write_quantized(tmp_path, config, gptq())
    checkpoint = open_directory(tmp_path)
    (tmp_path / "out").mkdir()
    write_metadata(tmp_path / "out", checkpoint, read_decoder(checkpoint).spec, [])
    written = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert "quantization_config" not in written
    assert written["hidden_size"] == 64


BIAS = "model.layers.1.mlp.up_proj.bias"


def test_a_bias_of_zeros_beside_a_matrix_without_one_is_no_obstacle(tmp_path: Path) -> None:
    config = {**SMALL, "quantization_config": GPTQ}
    write_quantized(tmp_path, config, gptq(), {BIAS: ("F16", np.zeros(128, np.float16))})
    assert BIAS not in read_decoder(open_directory(tmp_path)).tensors
    write_quantized(tmp_path, config, gptq(), {BIAS: ("F16", np.ones(128, np.float16))})
    with pytest.raises(ExportError, match=BIAS):
        read_decoder(open_directory(tmp_path))


@pytest.mark.parametrize(
    ("name", "settings", "write"),
    [
        (
            "quantize_config.json",
            {"bits": 4, "group_size": 32, "desc_act": True},
            gptq(index="shuffled"),
        ),
        ("quant_config.json", {"w_bit": 4, "q_group_size": 32, "version": "GEMM"}, awq()),
    ],
)
def test_settings_in_a_file_of_their_own_are_found(
    tmp_path: Path, name: str, settings: Config, write: Writer
) -> None:
    tensors = write_quantized(tmp_path, SMALL, write)
    with pytest.raises(ExportError, match="no quantization_config"):
        open_directory(tmp_path)
    (tmp_path / name).write_text(json.dumps(settings), "utf-8")
    (tmp_path / "model.safetensors").rename(tmp_path / "gptq_model-4bit-32g.safetensors")
    read = open_directory(tmp_path).tensors
    for key, values in tensors.items():
        np.testing.assert_array_equal(read[key].read(), values)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "by bitsandbytes, which"),
        ({"quant_method": "quanto"}, "by quanto, which"),
        ({"bits": 4}, "by None, which"),
        ({**GPTQ, "checkpoint_format": "marlin"}, "checkpoint_format: marlin"),
        ({**GPTQ, "is_marlin_format": True}, "is_marlin_format"),
        ({**AWQ, "version": "gemv"}, "version: gemv"),
        ({**AWQ, "bits": 3}, "bits: 3"),
        ({**PACKED, "format": "marlin-24"}, "format: marlin-24"),
        ({**PACKED, "config_groups": {"a": {"format": "nvfp4-pack-quantized"}}}, "format: nvfp4"),
        (
            {**INT, "sparsity_config": {"format": "sparse-bitmask"}},
            "sparsity_config: sparse-bitmask",
        ),
        ({**PACKED, "transform_config": {"config_groups": {"u": {}}}}, "transform_config"),
    ],
    ids=str,
)
def test_what_is_not_read_is_refused_by_name(tmp_path: Path, settings: Config, said: str) -> None:
    write_quantized(tmp_path, {**SMALL, "quantization_config": settings}, gptq())
    with pytest.raises(ExportError) as caught:
        open_directory(tmp_path)
    assert said in str(caught.value)
    assert "--weights int4" in str(caught.value)


UP = "model.layers.0.mlp.up_proj"


FIT = f"parts of {UP}.weight"
CHANGES: list[tuple[Form, str, Callable[[Any], Any], str]] = [
    (FORMS["gptq"], "qweight", lambda values: values[:6], f"{UP}.weight: 3 bits"),
    (FORMS["gptq"], "qzeros", lambda values: None, FIT),
    (FORMS["gptq"], "qzeros", lambda values: values[:, :3], FIT),
    (FORMS["gptq"], "scales", lambda values: values[:1], FIT),
    (FORMS["gptq"], "scales", lambda values: values[0], FIT),
    (FORMS["gptq"], "g_idx", lambda values: np.arange(64) // 30, f"{UP}.weight: g_idx"),
    (FORMS["gptq"], "g_idx", lambda values: values.astype(np.float32), FIT),
    (FORMS["awq"], "qzeros", lambda values: values[:1], FIT),
    (FORMS["awq"], "scales", lambda values: values[:, :64], FIT),
    (FORMS["compressed-tensors"], "weight_shape", lambda values: None, FIT),
    (FORMS["compressed-tensors"], "weight_shape", lambda values: values * 2, FIT),
    (FORMS["compressed-tensors"], "weight_scale", lambda values: None, FIT),
    (FORMS["compressed-tensors"], "weight_scale", lambda values: values[:64], FIT),
    (FORMS["compressed-tensors (asymmetric)"], "weight_zero_point", lambda values: values[:3], FIT),
    (FORMS["compressed-tensors (int8)"], "weight_scale", lambda values: values[:64], FIT),
    (FORMS["compressed-tensors (int8)"], "weight", lambda values: None, FIT),
    (FORMS["fp8 in blocks"], "weight_scale_inv", lambda values: values[:2], FIT),
]


@pytest.mark.parametrize(("form", "part", "change", "said"), CHANGES)
def test_parts_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, form: Form, part: str, change: Callable[[Any], Any], said: str
) -> None:
    parts, _ = form.write(128, 64, np.random.default_rng(1))
    kind, values = parts.pop(part)
    if (changed := change(values)) is not None:
        kind = {"float32": "F32", "int64": "I64"}.get(changed.dtype.name, kind)
        parts[part] = (kind, changed)
    (tmp_path / "config.json").write_text(json.dumps(form.config), "utf-8")
    write_parts(tmp_path / "model.safetensors", {f"{UP}.{p}": value for p, value in parts.items()})
    with pytest.raises(ExportError, match=said):
        open_directory(tmp_path)
