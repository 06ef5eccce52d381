"""A decoder as an OpenVINO model, from its spec and weights, operation by operation.

Inputs and outputs are those of Optimum-Intel's exports: input_ids, attention_mask, position_ids
[batch, tokens] and beam_idx [batch] -> logits [batch, tokens, vocab], with the KV as variables
("stateful"), or as past_key_values.N.key / present.N.key [batch, kv_heads, tokens, head_dim]
("explicit"). Knows neither files nor families. The shapes of subgraphs (masks, rotary embedding,
key repetition, recurrences) are those that OpenVINO's transformations match: change them only with the tests.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from export import nodes
from export.attention import attention
from export.delta_net import delta_net
from export.feed_forward import fed_forward
from export.inputs import Inputs, inputs_of
from export.layers import norm
from export.mamba import mamba
from export.nodes import Node, Weights
from export.recurrent import DeltaNet, Mamba2, ShortConvolution
from export.short_convolution import short_convolution
from export.spec import EMBEDDING, FINAL_NORM, LM_HEAD, DecoderSpec

_MIXERS = {ShortConvolution: short_convolution, DeltaNet: delta_net, Mamba2: mamba}


def build_model(spec: DecoderSpec, weights: Weights, *, stateful: bool) -> ov.Model:
    """The whole model; its constants share memory with `weights`."""
    input_ids = nodes.parameter("input_ids", ov.Type.i64, [-1, -1])
    inputs = inputs_of(spec, input_ids, stateful=stateful)
    embedding = nodes.weight_node(weights.matrix(EMBEDDING), EMBEDDING)
    indices = ops.convert(input_ids, ov.Type.i32)
    x = ops.gather(embedding, indices, ops.constant(np.array(0, np.int32)))
    x = nodes.scaled(x, spec.embedding_scale, 3)
    for layer in range(spec.layers):
        x = _layer(spec, weights, inputs, layer, x)
    x = norm(spec, weights, FINAL_NORM, x, 3)
    if spec.tied:
        said = ops.matmul(x, embedding, False, True)
    else:
        said = nodes.product(x, weights.matrix(LM_HEAD), LM_HEAD)
    logits = nodes.scaled(said, spec.logit_scale, 3)
    if cap := spec.logit_cap:
        logits = nodes.scaled(ops.tanh(nodes.scaled(logits, 1 / cap, 3)), cap, 3)
    logits = nodes.result(logits, "logits")
    results = [logits, *inputs.presents]
    if not stateful:
        return ov.Model(results, inputs.parameters, spec.family)
    return ov.Model(results, inputs.sinks, inputs.parameters, spec.family)


def _layer(spec: DecoderSpec, weights: Weights, inputs: Inputs, layer: int, x: Node) -> Node:
    name = f"model.layers.{layer}"

    def layer_norm(value: Node, which: str) -> Node:
        return norm(spec, weights, f"{name}.{which}.weight", value, 3)

    def before(value: Node, which: str) -> Node:
        return layer_norm(value, which) if spec.pre_norms else value

    def behind(value: Node, which: str) -> Node:
        value = layer_norm(value, which) if spec.post_norms else value
        return nodes.scaled(value, spec.residual_scale, 3)

    mix = _MIXERS[type(spec.recurrence)] if layer in spec.recurrent else attention
    mixed = mix(spec, weights, inputs, layer, before(x, "input_layernorm"))
    x = ops.add(x, behind(mixed, "post_self_attn_layernorm"))
    fed = fed_forward(spec, weights, layer, before(x, "post_attention_layernorm"))
    return ops.add(x, behind(fed, "post_mlp_layernorm"))
