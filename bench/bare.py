"""The model alone: one forward with nothing of the engine around it, and what that forward reads.

Owns: inputs for sequences that never lived, the time of `infer`, and the sizes of the compiled
weights. Does not know: what is compared. The KV is zeros; its contents do not change the time.
Looks inside the engine, past what its packages offer.
"""

import time
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from engine import EngineConfig
from engine.model import (
    CompileOptions,
    Inputs,
    KVCache,
    Model,
    build_inputs,
    usable_cpus,
    wants_single_token_graph,
)
from engine.scheduling import Batch, Sequence

NUM_BLOCKS = 1024


@dataclass(frozen=True, slots=True)
class WeightPort:
    """A constant input of an operation in the compiled graph."""

    operation: str
    shape: tuple[int, ...]
    bits: int

    @property
    def bytes_read(self) -> float:
        """Bytes that one token reads of it: a Gather takes one row of its table, others take all."""
        rows = self.shape[1:] if self.operation == "Gather" else self.shape
        return prod(rows) * self.bits / 8


@dataclass(frozen=True, kw_only=True)
class TriedOptions(CompileOptions):
    """The engine's compile options, with some properties replaced or, where None, left out."""

    changes: dict[str, str | None] = field(default_factory=dict)

    def properties(self) -> dict[str, str]:
        """OpenVINO's properties for compile_model."""
        changed: dict[str, str | None] = {**CompileOptions.properties(self), **self.changes}
        return {name: value for name, value in changed.items() if value is not None}


class BareModel(Model):
    """A model with a KV cache of its own, driven directly; compiled as the engine does.

    precision, kv_precision: None for its defaults.
    """

    def __init__(
        self,
        model_dir: Path,
        *,
        precision: str | None = None,
        kv_precision: str | None = None,
        **changes: str | None,
    ) -> None:
        config = EngineConfig(model_dir=model_dir)
        options = TriedOptions(
            device=config.device,
            num_threads=usable_cpus(),
            kv_precision=kv_precision or config.kv_precision,
            precision=precision or config.precision,
            single_token=wants_single_token_graph(config),
            changes=changes,
        )
        super().__init__(model_dir, options)
        cache = KVCache(self.kv_ports, NUM_BLOCKS)
        for tensor in cache.tensors.values():
            tensor.data.fill(0)
        self.bind(cache)

    def prepare(self, contexts: list[int], new_tokens: int = 1) -> None:
        """Set the inputs of a step that gives each sequence `new_tokens` behind its context."""
        inputs = step_inputs(contexts, new_tokens, self.block_size, self.vocab_size)
        self._program = self.program_for(inputs)
        self._program.run(inputs)

    def step(self) -> float:
        """Seconds of one forward over the prepared inputs."""
        began_at = time.perf_counter()
        self._program.again()
        return time.perf_counter() - began_at

    def weight_ports(self) -> list[WeightPort]:
        """The constants of the prepared step's graph, once for each operation that reads them."""
        nodes = self._program.compiled.get_runtime_model().get_ordered_ops()
        return [port for node in nodes for port in _constant_inputs(node)]

    @property
    def kv_bytes_per_token(self) -> float:
        """KV that a decode reads of each token of its context."""
        return self.block_bytes / self.block_size


def step_inputs(contexts: list[int], new_tokens: int, block_size: int, vocab_size: int) -> Inputs:
    """Inputs for sequences with these contexts, each in blocks of its own."""
    rng = np.random.default_rng(0)
    sequences, used = [], 0
    for context in contexts:
        count = -(-(context + new_tokens) // block_size)
        tokens = rng.integers(5, vocab_size - 5, context + new_tokens).tolist()
        sequences.append(Sequence(tokens, list(range(used, used + count)), context, new_tokens))
        used += count
    assert used <= NUM_BLOCKS, "more KV than a bare model has"
    return build_inputs(Batch(sequences, []))


def bytes_per_token(ports: list[WeightPort], kv_bytes: float) -> int:
    """Bytes that the decode of one token reads: each weight once, a row of an embedding, the KV."""
    return round(sum(port.bytes_read for port in ports) + kv_bytes)


def _constant_inputs(node: Any) -> list[WeightPort]:
    """Inputs of a node that come from constants; scales and zero-points among them."""
    info = node.get_rt_info()
    operation = info["layerType"].astype(str) if "layerType" in info else node.get_type_name()
    if operation == "PagedAttention":
        return []
    return [
        WeightPort(operation, tuple(port.get_shape()), port.get_element_type().bitwidth)
        for port in node.inputs()
        if _is_constant(port.get_source_output()) and prod(port.get_shape())
    ]


def _is_constant(source: ov.Output) -> bool:
    node = source.get_node()
    info = node.get_rt_info()
    layer = info["layerType"].astype(str) if "layerType" in info else ""
    return layer == "Const" or node.get_type_name() == "Constant"
