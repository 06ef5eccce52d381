"""The files of a model: one IR from token ids to logits, or the embeddings and the rest in one each.

Owns: their names, and how the second form becomes the first. It is that of models for images and text on the
hub (Gemma 3, Qwen2.5-VL, InternVL): their language model takes embeddings. Text alone needs nothing of their
other files.
"""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from engine.errors import ModelNotFound, ModelUnsupported

_WHOLE = "openvino_model"
_PARTS = ("openvino_text_embeddings_model", "openvino_language_model")
_KINDS = (".xml", ".bin")
_USUAL = {"attention_mask", "position_ids", "beam_idx", "input_ids"}


def ir_stems(model_dir: Path) -> tuple[str, ...]:
    """The names of its IRs without their ends. Raises ModelNotFound."""
    stems = _PARTS if (model_dir / f"{_PARTS[1]}.xml").is_file() else (_WHOLE,)
    for name in (stem + kind for stem in stems for kind in _KINDS):
        if not (model_dir / name).is_file():
            raise ModelNotFound(
                f"{model_dir}: no {name} in it. Export a model with `python -m export SOURCE --out DIR`."
            )
    return stems


def weight_bytes(model_dir: Path) -> int:
    """Of all of them together, on disk. Raises ModelNotFound."""
    return sum((model_dir / f"{stem}.bin").stat().st_size for stem in ir_stems(model_dir))


def read_ir(core: ov.Core, model_dir: Path) -> ov.Model:
    """The model as one graph from token ids. Raises ModelNotFound, ModelUnsupported or RuntimeError."""
    first, *more = (core.read_model(model_dir / f"{stem}.xml") for stem in ir_stems(model_dir))
    return _put_in_front(first, more[0], model_dir.name) if more else first


def _put_in_front(embeddings: ov.Model, language: ov.Model, name: str) -> ov.Model:
    """`language` with `embeddings` in place of its input of embeddings, and text's own values for the others."""
    inputs = {name: port for port in language.inputs for name in port.names}
    embedded = inputs.get("inputs_embeds")
    if embedded is None or len(embeddings.inputs) != 1:
        raise _unsupported(name, "no embeddings of text")
    ids = embeddings.inputs[0]
    ids.get_node().output(0).set_names({"input_ids"})
    embedded.get_node().output(0).replace(embeddings.output(0).get_node().input_value(0))
    kept = [port.get_node() for port in language.inputs if port.names & _USUAL]
    parameters = [ids.get_node(), *kept]
    if types := inputs.get("token_type_ids"):  # 1 for images
        types.get_node().output(0).replace(_zeros_like(ids.get_node()).output(0))
    known = _USUAL | {"inputs_embeds", "token_type_ids"}
    if strange := sorted(port.any_name for port in language.inputs if not port.names & known):
        raise _unsupported(name, ", ".join(strange))
    positions = inputs.get("position_ids")
    if positions is not None and len(positions.partial_shape) == 3:
        parameters[parameters.index(positions.get_node())] = _flat_positions(positions)
    return ov.Model(language.get_results(), language.get_sinks(), parameters, language.get_name())


def _zeros_like(ids: Any) -> Any:
    zero = ops.constant(np.array(0, np.int64))
    return ops.broadcast(zero, ops.shape_of(ids, ov.Type.i64))


def _flat_positions(port: Any) -> Any:
    """Positions [batch, tokens] in place of those by time, height and width, which are equal for text."""
    flat = ops.parameter([-1, -1], ov.Type.i64, name="position_ids")
    flat.output(0).set_names({"position_ids"})
    node = port.get_node()
    axes = ops.constant(np.array([port.partial_shape[0].get_length(), 1, 1], np.int64))
    wide = ops.tile(ops.unsqueeze(flat, ops.constant(np.array([0], np.int64))), axes)
    node.output(0).set_names({"positions"})
    node.output(0).replace(wide.output(0))
    return flat


def _unsupported(name: str, inputs: str) -> ModelUnsupported:
    return ModelUnsupported(
        f"{name} is a model for images and text whose language model wants inputs that text alone does not give "
        f"({inputs}); use one for text alone."
    )
