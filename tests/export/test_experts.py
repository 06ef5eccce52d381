"""Experts: OpenVINO computes the chosen ones alone, in every form of their weights and of the graph."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from engine.model.paging import read_paged
from engine.model.quantizing import quantize_products
from engine.model.single_token import multiply_bytes_in_floats, single_token_graph
from export import export_model
from export.errors import ExportError
from export.exporter import write_model
from export.families import read_decoder
from export.formats import WeightFormat
from export.packing import Packed, Scratch
from export.progress import silent
from export.sources.directory import open_directory
from export.tensors import StoredTensor
from tests.export.checkpoints import write_gguf
from tests.export.folders import Config, write_folder
from tests.export.quantized import write_parts, write_quantized
from tests.export.reference import F, from_hugging_face
from tests.export.running import EXACT, Stateful, compiled
from tests.export.sparse import SPARSE
from tests.export.test_gguf_architectures import FILES
from tests.export.test_quantize import decoded
from tests.export.test_quantized import FORMS

# As wide as the plugin's kernels for 4 bits want it.
WIDE: Config = {**SPARSE["qwen3_moe"], "hidden_size": 128, "moe_intermediate_size": 64}
TEXT = [(7 * i * i + 3 * i) % 256 for i in range(20)]
FORMATS = [
    WeightFormat("fp16"),
    WeightFormat("int8"),
    WeightFormat("int4", group_size=32),
    WeightFormat("int4", group_size=64, symmetric=True),
]


def exported(folder: Path, weights: WeightFormat) -> Path:
    out = folder / weights.label
    out.mkdir()
    write_model(out, read_decoder(open_directory(folder)), weights, "stateful", silent)
    (out / "config.json").write_text((folder / "config.json").read_text("utf-8"), "utf-8")
    return out


def kinds(model: ov.CompiledModel) -> Counter[str]:
    nodes = model.get_runtime_model().get_ops()
    return Counter(node.get_rt_info()["layerType"].astype(str) for node in nodes)


@pytest.mark.parametrize("weights", FORMATS, ids=lambda weights: weights.label)
def test_the_chosen_experts_alone_are_computed(tmp_path: Path, weights: WeightFormat) -> None:
    write_folder(tmp_path, WIDE)
    out = exported(tmp_path, weights)
    products = 3 * WIDE["num_hidden_layers"]
    assert kinds(compiled(out / "openvino_model.xml"))["GatherMatmul"] == products
    core = ov.Core()
    paged = read_paged(core, out)
    assert kinds(core.compile_model(paged, "CPU", EXACT))["GatherMatmul"] == products
    single = single_token_graph(paged)
    assert single is not None
    properties = {**EXACT, **multiply_bytes_in_floats(single)}
    assert kinds(core.compile_model(single, "CPU", properties))["GatherMatmul"] == products


@pytest.mark.parametrize("weights", FORMATS[1:], ids=lambda weights: weights.label)
def test_the_graph_computes_with_the_codes_that_each_expert_would_have_alone(
    tmp_path: Path, weights: WeightFormat
) -> None:
    tensors = write_folder(tmp_path, WIDE)
    xml = exported(tmp_path, weights) / "openvino_model.xml"
    rounded = {name: as_stored(weights, name, values) for name, values in tensors.items()}
    got = Stateful(compiled(xml)).step([TEXT])[0]
    np.testing.assert_allclose(got, from_hugging_face(WIDE, rounded).logits(TEXT), atol=2e-4)


def as_stored(weights: WeightFormat, name: str, values: F) -> F:
    """What is left of one of the checkpoint's tensors."""
    if values.ndim != 2:
        return values
    stored = weights.store(name, StoredTensor(name, values, "F32", values.shape), Scratch(Path()))
    return decoded(stored) if isinstance(stored, Packed) else stored.values.astype(np.float32)


CODED = {
    "gptq": "u4",
    "awq": "u4",
    "compressed-tensors": "u4",
    "compressed-tensors (int8)": "u8",
    "gptq (desc_act)": "f16",
    "fp8 in blocks": "f16",
}


@pytest.mark.parametrize(("name", "code"), CODED.items(), ids=str)
def test_codes_of_quantised_checkpoints_are_kept_unless_columns_differ_from_expert_to_expert(
    tmp_path: Path, name: str, code: str
) -> None:
    config = {**WIDE, "quantization_config": FORMS[name].config["quantization_config"]}
    tensors = write_quantized(tmp_path, config, FORMS[name].write)
    xml = exported(tmp_path, WeightFormat("native")) / "openvino_model.xml"
    weights = [op for op in ov.Core().read_model(xml).get_ops() if is_of_experts(op)]
    assert {op.get_element_type().get_type_name() for op in weights} == {code}
    if code == "f16":
        tensors = {
            key: values.astype(np.float16).astype(np.float32) if ".experts." in key else values
            for key, values in tensors.items()
        }
    if name == "fp8 in blocks":
        tensors = {k: v.astype(np.float16).astype(np.float32) for k, v in tensors.items()}
    got = Stateful(compiled(xml)).step([TEXT])[0]
    np.testing.assert_allclose(got, from_hugging_face(config, tensors).logits(TEXT), atol=2e-4)


def is_of_experts(op: ov.Node) -> bool:
    name = op.get_friendly_name()
    return ".mlp.experts." in name and name.endswith("_proj.weight")


def test_mxfp4_is_kept_exactly_in_eight_bits(tmp_path: Path) -> None:
    config = {**SPARSE["gpt_oss"], "hidden_size": 128, "head_dim": 32}
    tensors = write_folder(tmp_path, config)
    parts, rng = {}, np.random.default_rng(3)
    for name, values in list(tensors.items()):
        if values.ndim != 3:
            parts[name] = ("F32", values)
            continue
        count, columns, rows = values.shape
        codes = rng.integers(0, 16, (count, rows, columns // 32, 32))
        exponents = rng.integers(119, 125, (count, rows, columns // 32))
        numbers = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])[codes & 7] * np.where(codes > 7, -1, 1)
        numbers = (numbers * 2.0 ** (exponents - 127)[..., None]).reshape(count, rows, columns)
        tensors[name] = np.ascontiguousarray(numbers.transpose(0, 2, 1), np.float32)
        parts[f"{name}_blocks"] = (
            "U8",
            (codes[..., 0::2] | codes[..., 1::2] << 4).astype(np.uint8),
        )
        parts[f"{name}_scales"] = ("U8", exponents.astype(np.uint8))
    quantized = {**config, "quantization_config": {"quant_method": "mxfp4"}}
    (tmp_path / "config.json").write_text(json.dumps(quantized), "utf-8")
    write_parts(tmp_path / "model.safetensors", parts)
    out = exported(tmp_path, WeightFormat("native"))
    weights = [
        op for op in ov.Core().read_model(out / "openvino_model.xml").get_ops() if is_of_experts(op)
    ]
    assert {op.get_element_type().get_type_name() for op in weights} == {"u8"}
    model = compiled(out / "openvino_model.xml")
    assert kinds(model)["GatherMatmul"] == 2 * config["num_hidden_layers"]
    got = Stateful(model).step([TEXT])[0]
    np.testing.assert_allclose(got, from_hugging_face(config, tensors).logits(TEXT), atol=2e-4)
    del parts["model.layers.1.mlp.experts.down_proj_scales"]
    write_parts(tmp_path / "model.safetensors", parts)
    with pytest.raises(ExportError, match=r"parts of model.layers.1.mlp.experts.down_proj are not"):
        open_directory(tmp_path)


@pytest.mark.parametrize("name", ["qwen3_moe", "mixtral"])
def test_an_expert_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    count = "num_experts" if "num_experts" in SPARSE[name] else "num_local_experts"
    has = SPARSE[name][count]
    write_folder(tmp_path, SPARSE[name])
    (tmp_path / "config.json").write_text(json.dumps({**SPARSE[name], count: has + 1}), "utf-8")
    with pytest.raises(ExportError, match=rf"lacks .*experts\.{has}\..*download it again"):
        read_decoder(open_directory(tmp_path))


def test_experts_are_left_out_where_products_become_int8(tmp_path: Path) -> None:
    """Their matrices [experts, rows, columns] look like rows in groups where a group is a whole row."""
    file = FILES["qwen3moe"]
    source = write_gguf(tmp_path / "tiny.gguf", "Q4_1", "qwen3moe", **file)
    directory = export_model(str(source), tmp_path / "out", weights="native")
    core = ov.Core()
    paged = read_paged(core, directory)
    quantize_products(paged)
    assert kinds(core.compile_model(paged, "CPU", EXACT))["GatherMatmul"] == 6
