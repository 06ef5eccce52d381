"""From an IR on disk to a model with paged attention, in memory.

Owns: that reading. Does not know: how the model is compiled. Takes stateful IRs (Optimum-Intel's,
OpenVINO GenAI's, this project's) and explicit ones with past_key_values.N inputs and present.N
outputs; both become stateful first, then paged. Which files that is, ir_files.py knows. The paged-attention transformation is an internal
OpenVINO API, which is why OpenVINO is pinned exactly.
"""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino._offline_transformations import paged_attention_transformation

from engine.errors import ModelUnsupported
from engine.model.ir_files import read_ir
from engine.model.joining import join_small_products
from engine.model.positions import read_positions
from engine.model.stateful import make_stateful

STATE_TABLE = "_state_table."  # in the names of inputs for layers that have a state beside the KV


def read_paged(core: ov.Core, model_dir: Path) -> ov.Model:
    """The IR in `model_dir` with paged attention and the extra input `logit_indices` [rows] int64.

    Small products are joined. Raises ModelNotFound or ModelUnsupported.
    """
    model = read_stateful(core, model_dir)
    read_positions(model)
    try:
        paged_attention_transformation(model)
    except RuntimeError as error:
        raise ModelUnsupported(
            f"{model_dir.name}: OpenVINO cannot make its attention paged ({last_line(error)}); use another model."
        ) from None
    pick_logits(model)
    join_small_products(model)
    return model


def read_stateful(core: ov.Core, model_dir: Path) -> ov.Model:
    """The IR in `model_dir`, with its KV as variables. Raises ModelNotFound or ModelUnsupported."""
    try:
        return make_stateful(read_ir(core, model_dir))
    except RuntimeError as error:
        raise ModelUnsupported(
            f"{model_dir.name}: OpenVINO cannot read it ({last_line(error)}). "
            "Export it again with `python -m export SOURCE --out DIR`."
        ) from None


def pick_logits(model: ov.Model) -> None:
    """Compute logits only for the packed rows in the new input `logit_indices`.

    The Gather goes in front of the lm_head: without it, prefill spends half its time on logits
    that nobody reads.
    """
    head = _lm_head(model.output(0).get_node())
    rows = ops.parameter([-1], ov.Type.i64)
    rows.output(0).set_names({"logit_indices"})
    rows.set_friendly_name("logit_indices")
    picked = ops.gather(head.input_value(0), rows, ops.constant(np.int64(0)))
    head.input(0).replace_source_output(picked.output(0))
    model.add_parameters([rows])
    model.validate_nodes_and_infer_types()


def _lm_head(result: Any) -> Any:
    """The MatMul in front of the model's result, or the result itself when there is none."""
    node = result.input_value(0).get_node()
    while node.get_type_name() in {"Add", "Convert", "Multiply", "Divide", "Tanh", "Reshape"}:
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "MatMul" else result


def last_line(error: RuntimeError) -> str:
    """The last line of an OpenVINO exception, which says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "unknown reason"
