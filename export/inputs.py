"""What a decoder's layers share in the graph: inputs, masks, rotary angles, and what is kept from step to step.

A kept value is a variable of the model ("stateful") or an input and an output ("explicit"). Variables begin
empty or at zeros and are reordered by beam_idx: in this form OpenVINO's transformations find them. Knows no layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from export import nodes
from export.masks import causal_mask, window_mask
from export.nodes import Node, axes, scalar
from export.rotary import Turns, growth_of, turns_of
from export.spec import DecoderSpec


class Names(NamedTuple):
    """Of a kept value; those of Optimum-Intel."""

    past: str
    present: str

    @property
    def variable(self) -> str:
        """The variable's, in the stateful form."""
        return self.past + self.present


def _state_names(name: str) -> Names:
    return Names(f"cache_params.past.{name}", f"cache_params.present.{name}")


@dataclass
class Inputs:
    """Inputs and what every layer derives from them; `beam_idx` is None in the explicit form."""

    parameters: list[Node]
    beam_idx: Node | None
    batch: Node
    attention_mask: Node
    mask: Node
    window_mask: Node | None
    turns: Turns | None
    local_turns: Turns | None
    growth: Node | None
    sinks: list[Node] = field(default_factory=list)
    presents: list[Node] = field(default_factory=list)

    def with_past(self, name: str, shape: list[int], new: Node) -> Node:
        """Past and new keys or values, joined on the tokens' axis of `shape` [-1, heads, -1, size].

        name: `N.key` or `N.value`. The whole is remembered for next time.
        """
        _, heads, _, size = shape
        names = Names(f"past_key_values.{name}", f"present.{name}")
        past = self._past(names, shape, axes(heads, 0, size))
        present = ops.concat([past, new], 2)
        self._keep(names, present)
        return present

    def state(self, name: str, *sizes: int) -> Node:
        """What the tokens so far have left, [batch, *sizes], zeros at first; `keep_state` is to be told the new one."""
        return self._past(_state_names(name), [-1, *sizes], axes(*sizes))

    def keep_state(self, name: str, present: Node, *sizes: int) -> None:
        """Remember the new one, [batch, *sizes]."""
        # The shape is what shape inference does not know of some operations while the graph is rewritten.
        self._keep(_state_names(name), ops.reshape(present, axes(-1, *sizes), False))

    def _past(self, names: Names, shape: list[int], first_sizes: Node) -> Node:
        if self.beam_idx is None:
            past = nodes.parameter(names.past, ov.Type.f32, shape)
            self.parameters.append(past)
            return past
        first_shape = ops.concat([self.batch, first_sizes], 0)
        first = ops.broadcast(ops.constant(np.float32(0)), first_shape)
        value = ops.read_value(first, names.variable, ov.Type.f32, ov.PartialShape(shape))
        return ops.gather(value, self.beam_idx, scalar(0))

    def _keep(self, names: Names, present: Node) -> None:
        if self.beam_idx is None:
            self.presents.append(nodes.result(present, names.present))
        else:
            self.sinks.append(ops.assign(present, names.variable))


def inputs_of(spec: DecoderSpec, input_ids: Node, *, stateful: bool) -> Inputs:
    """Those of a decoder; its token ids are there already."""
    attention_mask = nodes.parameter("attention_mask", ov.Type.i64, [-1, -1])
    position_ids = nodes.parameter("position_ids", ov.Type.i64, [-1, -1])
    beam_idx = nodes.parameter("beam_idx", ov.Type.i32, [-1]) if stateful else None
    parameters = [input_ids, attention_mask, position_ids]
    shape = ops.shape_of(input_ids, ov.Type.i64)
    num_queries = nodes.dimension(shape, 1, keep=False)
    local = spec.local_inv_freq
    return Inputs(
        parameters=parameters if beam_idx is None else [*parameters, beam_idx],
        beam_idx=beam_idx,
        batch=nodes.dimension(shape, 0, keep=True),
        attention_mask=attention_mask,
        mask=causal_mask(attention_mask, num_queries),
        window_mask=spec.window and window_mask(attention_mask, num_queries, spec.window),
        turns=turns_of(spec.inv_freq, position_ids, spec.rotary_scale),
        local_turns=None if local is None else turns_of(local, position_ids, 1.0),
        growth=spec.score_growth and growth_of(position_ids, *spec.score_growth),
    )
