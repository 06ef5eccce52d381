"""Mixtures of experts: the numbers of a layer that has many MLPs, of which a router chooses some for each token.

A token's chosen experts are weighed by the softmax of the router's scores, over all experts or over the chosen
ones alone, which is what normalising comes to. Knows neither files nor OpenVINO.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from export.settings import Settings
from export.sources.checkpoint import Config

Shapes = Iterator[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Experts:
    """`per_token` of `count` MLPs of the width `intermediate`, in `layers`; other layers have one MLP.

    is_normalized: the chosen experts' weights are one in sum. shared: the width of a further MLP that every token
    goes through, 0 for none; what it gives is multiplied by a sigmoid of its own. limit: gpt-oss's form, in which
    rows of gate and up take turns in one matrix, all have biases, both are clamped to it, and up is raised by one.
    """

    count: int
    per_token: int
    intermediate: int
    layers: frozenset[int]
    is_normalized: bool = True
    shared: int = 0
    limit: float | None = None

    def weight_shapes(self, hidden: int) -> Shapes:
        """What a layer reads; matrices of all experts are one, an expert's rows below those of the one before."""
        tall, wide = self.count * self.intermediate, self.count * hidden
        yield "mlp.gate.weight", (self.count, hidden)
        if self.limit is not None:
            yield "mlp.gate.bias", (self.count,)
            yield "mlp.experts.gate_up_proj.weight", (2 * tall, hidden)
            yield "mlp.experts.gate_up_proj.bias", (2 * tall,)
            yield "mlp.experts.down_proj.weight", (wide, self.intermediate)
            yield "mlp.experts.down_proj.bias", (wide,)
            return
        yield "mlp.experts.gate_proj.weight", (tall, hidden)
        yield "mlp.experts.up_proj.weight", (tall, hidden)
        yield "mlp.experts.down_proj.weight", (wide, self.intermediate)
        if self.shared:
            yield "mlp.shared_expert.gate_proj.weight", (self.shared, hidden)
            yield "mlp.shared_expert.up_proj.weight", (self.shared, hidden)
            yield "mlp.shared_expert.down_proj.weight", (hidden, self.shared)
            yield "mlp.shared_expert_gate.weight", (1, hidden)


def qwen_experts(config: Config) -> Experts | None:
    """Qwen2's and Qwen3's: in every layer, or each so many, but for some that are named; None in no layer at all."""
    settings = Settings(config)
    count = config.get("num_experts") or config.get("num_local_experts") or 0
    step, dense = settings.size("decoder_sparse_step", 1), config.get("mlp_only_layers") or ()
    layers = range(settings.size("num_hidden_layers"))
    sparse = frozenset(i for i in layers if i not in dense and (i + 1) % step == 0)
    if not count or not sparse:
        return None
    return Experts(
        count=count,
        per_token=settings.size("num_experts_per_tok"),
        intermediate=settings.size("moe_intermediate_size"),
        layers=sparse,
        is_normalized=bool(config.get("norm_topk_prob", False)),
        shared=config.get("shared_expert_intermediate_size") or 0,
    )


def local_experts(config: Config, limit: float | None = None) -> Experts:
    """Mixtral's, Granite's and gpt-oss's: in every layer, as wide as `intermediate_size`."""
    settings = Settings(config)
    return Experts(
        count=settings.size("num_local_experts"),
        per_token=settings.size("num_experts_per_tok"),
        intermediate=settings.size("intermediate_size"),
        layers=frozenset(range(settings.size("num_hidden_layers"))),
        limit=limit,
    )
