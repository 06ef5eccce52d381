"""An IR with explicit past_key_values.N inputs and present.N outputs, turned into a stateful one, and states with it.

The form of the well-known tutorials. OpenVINO's own transformation makes variables without an
initial value, which the paged-attention transformation does not recognise; here each variable
starts as an empty past and is reordered by `beam_idx`, as in Optimum-Intel's stateful IRs.
"""

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

# Of keys and values, and of the states of recurrent layers.
_PASTS, _PRESENTS = (
    ("past_key_values.", "cache_params.past."),
    ("present.", "cache_params.present."),
)


def make_stateful(model: ov.Model) -> ov.Model:
    """`model` with variables in place of past inputs and present outputs; itself if it has none.

    Raises RuntimeError for a past without its present.
    """
    pasts = {name: port for port in model.inputs if (name := _name(port, *_PASTS))}
    presents = {name: port for port in model.outputs if (name := _name(port, *_PRESENTS))}
    if not pasts:
        return model
    beam_idx = _parameter("beam_idx", ov.Type.i32)
    batch = ops.gather(
        ops.shape_of(model.input("input_ids"), ov.Type.i64), _i64([0]), ops.constant(np.int64(0))
    )
    sinks = []
    for name, past in pasts.items():
        present = presents.pop(_present_of(name), None)
        if present is None:
            raise RuntimeError(f"there is no output for the input {name}")
        empty = _empty_past(past, batch)
        sinks.append(_variable(past.get_node(), present.get_node(), empty, beam_idx))
    past_nodes = {past.get_node().get_friendly_name() for past in pasts.values()}
    kept = [p for p in model.get_parameters() if p.get_friendly_name() not in past_nodes]
    results = [r for r in model.get_results() if not _name(r.output(0), *_PRESENTS)]
    return ov.Model(results, sinks, [*kept, beam_idx], model.get_friendly_name())


def _empty_past(past: Any, batch: Any) -> Any:
    """Zeros of shape [batch, heads, 0, head size], or of a state's."""
    _, *sizes = past.partial_shape
    lengths = [0 if size.is_dynamic else size.get_length() for size in sizes]
    shape = ops.concat([batch, _i64(lengths)], 0)
    return ops.broadcast(ops.convert(ops.constant(np.float32(0)), past.element_type), shape)


def _variable(past: Any, present: Any, empty: Any, beam_idx: Any) -> Any:
    """A variable that starts `empty`, read where `past` was and assigned what `present` got."""
    name = past.get_friendly_name() + present.get_friendly_name()
    read = ops.read_value(empty, name, past.get_element_type(), past.get_partial_shape())
    # By its name a state is known to the paged-attention transformation.
    read.output(0).set_names(past.output(0).names)
    reordered = ops.gather(read, beam_idx, ops.constant(np.int64(0)))
    past.output(0).replace(reordered.output(0))
    # `assign` takes nodes only; a present is a Concat, which has a single output.
    return ops.assign(present.input_value(0).get_node(), name)


def _name(port: Any, *prefixes: str) -> str | None:
    return next((name for name in port.names if name.startswith(prefixes)), None)


def _present_of(name: str) -> str:
    """The output that belongs to an input."""
    pairs = zip(_PASTS, _PRESENTS, strict=True)
    return next(new + name.removeprefix(old) for old, new in pairs if name.startswith(old))


def _parameter(name: str, element_type: ov.Type) -> Any:
    parameter = ops.parameter([-1], element_type)
    parameter.output(0).set_names({name})
    parameter.set_friendly_name(name)
    return parameter


def _i64(values: list[int]) -> Any:
    return ops.constant(np.array(values, np.int64))
