"""Directories that cannot be paged are refused for what they are."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from engine.errors import ModelNotFound, ModelUnsupported
from engine.model.model import Program
from engine.model.paging import read_paged


def write_ir(folder: Path) -> None:
    x = ops.parameter([-1, 4], ov.Type.f32, name="input_ids")
    ov.save_model(ov.Model([ops.relu(x)], [x]), folder / "openvino_model.xml")


def test_a_folder_without_an_ir_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="python -m export"):
        read_paged(ov.Core(), tmp_path)


def test_a_damaged_ir_is_to_be_exported_again(tmp_path: Path) -> None:
    write_ir(tmp_path)
    (tmp_path / "openvino_model.xml").write_text("<net")
    with pytest.raises(ModelUnsupported, match="cannot read it"):
        read_paged(ov.Core(), tmp_path)


def test_what_has_no_attention_is_not_to_be_exported_again(tmp_path: Path) -> None:
    write_ir(tmp_path)
    with pytest.raises(ModelUnsupported, match="use another model"):
        read_paged(ov.Core(), tmp_path)


def test_an_input_is_known_by_any_of_its_names() -> None:
    """The transformation names the positions that it adds '67' beside `position_ids`."""
    x = ops.parameter([-1], ov.Type.i64)
    x.output(0).set_names({"67", "cache_position", "position_ids"})
    program = Program(ov.Core().compile_model(ov.Model([ops.relu(x)], [x]), "CPU"))
    assert program.run({"position_ids": np.array([-3, 5])}).tolist() == [0, 5]
