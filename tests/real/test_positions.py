"""IRs that count positions by themselves, as some of Optimum-Intel's do, say with paged attention what they say without."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from engine.model.checking import compare
from engine.model.positions import read_positions
from export import export_model
from tests.export.folders import FAMILIES, write_folder, write_tokenizer
from tests.export.hybrid_folders import HYBRIDS, write_hybrid

Counting = Callable[
    [Any, Any, Any], Any
]  # of past, new tokens and batch: what becomes the angles' factor


@pytest.fixture(scope="module", params=["llama", "gemma3", "qwen3.5 (text)"])
def made_here(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    if request.param in HYBRIDS:
        write_hybrid(folder / "source", HYBRIDS[request.param])
    else:
        write_folder(folder / "source", {**FAMILIES[request.param], "eos_token_id": 258})
    write_tokenizer(folder / "source")
    return export_model(str(folder / "source"), folder / "model")


def i64(*values: int) -> Any:
    return ops.constant(np.array(values, np.int64))


def scalar(value: int) -> Any:
    return ops.constant(np.int64(value))


def added(past: Any, new: Any, batch: Any) -> Any:
    """Granite's hybrids: [1, 1, tokens]."""
    count = ops.add(ops.range(scalar(0), new, scalar(1), "i64"), past)
    whole = ops.unsqueeze(ops.unsqueeze(count, scalar(0)), scalar(1))
    return ops.convert(whole, "f32")


def begun_at_the_past(past: Any, new: Any, batch: Any) -> Any:
    """Qwen3.5: [3, batch, 1, tokens], for time, height and width, of which the first is taken here."""
    count = ops.range(past, ops.add(past, new), scalar(1), "i64")
    count = ops.reshape(count, i64(1, 1, -1), False)
    wide = ops.broadcast(
        count, ops.concat([i64(3), batch, i64(1)], 0), broadcast_spec="BIDIRECTIONAL"
    )
    whole = ops.convert(ops.unsqueeze(wide, scalar(2)), "f32")
    return ops.gather(whole, scalar(0), scalar(0))


def count_positions(made_here: Path, folder: Path, counting: Counting, *, has_input: bool) -> None:
    """The IR, with its positions counted; `position_ids` is an input that nothing reads, or none."""
    model = ov.Core().read_model(made_here / "openvino_model.xml")
    ids = ops.shape_of(model.input("input_ids").get_node(), "i64")
    read = next(n for n in model.get_ordered_ops() if _reads_keys(n))
    (gathered,) = read.output(0).get_target_inputs()
    past = ops.gather(ops.shape_of(gathered.get_node(), "i64"), scalar(2), scalar(0))
    new, batch = (
        ops.gather(ids, scalar(1), scalar(0)),
        ops.gather(ids, i64(0), scalar(0)),
    )
    counted = counting(past, new, batch)
    positions = model.input("position_ids").get_node()
    for node in list(model.get_ordered_ops()):
        if node.get_type_name() == "Convert" and _reads(node, positions):
            node.output(0).replace(counted.output(0))
    if not has_input:
        model.remove_parameter(positions)
    model.validate_nodes_and_infer_types()
    ov.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)


def _reads_keys(node: Any) -> bool:
    is_read = node.get_type_name() == "ReadValue"
    return bool(is_read and ".key" in node.get_attributes()["variable_id"])


def _reads(convert: Any, positions: Any) -> bool:
    source = convert.input_value(0).get_node()
    is_first = source.get_type_name() == "Unsqueeze"
    return bool(is_first and source.input_value(0).get_node().get_name() == positions.get_name())


@pytest.mark.parametrize("has_input", [True, False])
@pytest.mark.parametrize("counting", [added, begun_at_the_past])
def test_counted_positions_are_those_that_are_given(
    made_here: Path, tmp_path: Path, counting: Counting, has_input: bool
) -> None:
    count_positions(made_here, tmp_path, counting, has_input=has_input)
    compare(tmp_path, 2)


def test_positions_that_are_read_already_stay(made_here: Path) -> None:
    model = ov.Core().read_model(made_here / "openvino_model.xml")
    before = len(model.get_ops())
    assert read_positions(model) == 0
    assert len(model.get_ops()) == before
