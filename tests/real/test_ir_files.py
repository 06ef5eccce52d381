"""A model for images and text says to text what the same model in one IR says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from engine.errors import ModelNotFound, ModelUnsupported
from engine.model.checking import compare
from engine.model.digest import digest_of_model
from engine.model.ir_files import ir_stems, read_ir, weight_bytes
from engine.model.model import CompileOptions, Model
from export import export_model
from tests.export.folders import FAMILIES, write_folder, write_tokenizer
from tests.real.test_key_scales import TOKENS

Change = Callable[[ov.Model], Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    write_folder(folder / "source", {**FAMILIES["llama"], "eos_token_id": 258})
    write_tokenizer(folder / "source")
    return export_model(str(folder / "source"), folder / "model", weights="fp16")


def parted(whole: Path, folder: Path, change: Change = lambda model: None) -> Path:
    """The same in the hub's form for images and text; `change` is made of its language model."""
    core = ov.Core()
    model = core.read_model(whole / "openvino_model.xml")
    ids = model.input("input_ids").get_node()
    found = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Gather"
                 and len(node.get_output_partial_shape(0)) == 3)  # fmt: skip
    embeddings = ov.Model([found], [ids], "embeddings")
    ov.save_model(embeddings, folder / "openvino_text_embeddings_model.xml", False)
    embedded = ops.parameter(
        [-1, -1, found.get_output_partial_shape(0)[2].get_length()], ov.Type.f32
    )
    embedded.output(0).set_names({"inputs_embeds"})
    for port in found.output(0).get_target_inputs():
        if port.get_node().get_type_name() != "Result":
            port.replace_source_output(embedded.output(0))
    batch = ops.shape_of(embedded, "i64")
    for port in ids.output(0).get_target_inputs():
        if port.get_node().get_type_name() == "ShapeOf":
            two = ops.gather(batch, ops.constant([0, 1]), ops.constant(0))
            port.get_node().output(0).replace(two.output(0))
    parameters = [
        p for p in model.get_parameters() if p.get_friendly_name() != ids.get_friendly_name()
    ]
    language = ov.Model(model.get_results(), model.get_sinks(), [embedded, *parameters], "language")
    change(language)
    ov.save_model(language, folder / "openvino_language_model.xml", False)
    return folder


def add_token_types(model: ov.Model) -> None:
    """As Gemma 3 has them; here they are added to the embeddings, so that they matter."""
    types = ops.parameter([-1, -1], ov.Type.i64)
    types.output(0).set_names({"token_type_ids"})
    embedded = model.input("inputs_embeds").get_node()
    moved = ops.unsqueeze(ops.convert(types, "f32"), ops.constant([2]))
    targets = embedded.output(0).get_target_inputs()
    added = ops.add(embedded, moved)
    for port in targets:
        port.replace_source_output(added.output(0))
    model.add_parameters([types])


def widen_positions(model: ov.Model) -> None:
    """As Qwen2.5-VL has them, by time, height and width."""
    positions = model.input("position_ids").get_node()
    targets = positions.output(0).get_target_inputs()
    wide = ops.parameter([3, -1, -1], ov.Type.i64)
    wide.output(0).set_names({"position_ids"})
    time = ops.gather(wide, ops.constant(1), ops.constant(0))
    for port in targets:
        port.replace_source_output(time.output(0))
    model.remove_parameter(positions)
    model.add_parameters([wide])


def add_visual_positions(model: ov.Model) -> None:
    mask = ops.parameter([-1, -1], ov.Type.boolean)
    mask.output(0).set_names({"visual_pos_masks"})
    embedded = model.input("inputs_embeds").get_node()
    targets = embedded.output(0).get_target_inputs()
    added = ops.add(embedded, ops.unsqueeze(ops.convert(mask, "f32"), ops.constant([2])))
    for port in targets:
        port.replace_source_output(added.output(0))
    model.add_parameters([mask])


def logits(model: ov.Model) -> Any:
    ids = np.array([[token % 256 for token in TOKENS]], np.int64)
    inputs = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "position_ids": np.arange(ids.shape[1])[None],
        "beam_idx": np.zeros(1, np.int32),
    }
    return ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(inputs)[0]


@pytest.mark.parametrize("change", [lambda model: None, add_token_types, widen_positions])
def test_text_alone_is_answered_as_by_one_ir(whole: Path, tmp_path: Path, change: Change) -> None:
    core, folder = ov.Core(), parted(whole, tmp_path, change)
    np.testing.assert_allclose(
        logits(read_ir(core, folder)), logits(read_ir(core, whole)), atol=1e-5
    )
    compare(folder, 2)  # and its attention can be paged
    assert Model(folder, CompileOptions(device="CPU", num_threads=2, kv_precision="u8")).kv_ports


def test_what_only_images_give_is_named(whole: Path, tmp_path: Path) -> None:
    folder = parted(whole, tmp_path, add_visual_positions)
    with pytest.raises(ModelUnsupported, match="visual_pos_masks"):
        read_ir(ov.Core(), folder)


def test_both_parts_tell_it_from_others(whole: Path, tmp_path: Path) -> None:
    folder = parted(whole, tmp_path)
    first = digest_of_model(folder)
    weights = folder / "openvino_text_embeddings_model.bin"
    assert weight_bytes(folder) > weights.stat().st_size
    raw = bytearray(weights.read_bytes())
    raw[7] ^= 1
    weights.write_bytes(raw)
    assert digest_of_model(folder) != first
    weights.unlink()
    with pytest.raises(ModelNotFound, match="text_embeddings"):
        ir_stems(folder)
