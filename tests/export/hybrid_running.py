"""Models with recurrent layers through OpenVINO's paged operations: their states are blocks of tables that are ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
from openvino._offline_transformations import paged_attention_transformation

from tests.export.running import EXACT, F

END_ALONE = 2**30  # an interval: the state is written behind the last token only


def executed(compiled: ov.CompiledModel) -> Counter[str]:
    """The types of the nodes that are executed."""
    nodes = compiled.get_runtime_model().get_ops()
    return Counter(node.get_rt_info()["layerType"].astype(str) for node in nodes)


@dataclass
class Part:
    """Tokens of one sequence, behind `past` others.

    states: the block to read, then those to write, one behind each `interval` tokens counted from the sequence's
    beginning and one behind the last.
    """

    ids: Sequence[int]
    past: int
    blocks: list[int]
    states: list[int]
    interval: int = END_ALONE


class PagedHybrid:
    """Several sequences at once. Unwritten KV is NaN; state block 0 is of zeros, for new sequences."""

    def __init__(self, xml: Path, num_blocks: int = 16, num_states: int = 12) -> None:
        core = ov.Core()
        model = core.read_model(xml)
        paged_attention_transformation(model)
        self.operations = Counter(node.get_type_name() for node in model.get_ops())
        self.compiled = core.compile_model(model, "CPU", EXACT)
        self.request = self.compiled.create_infer_request()
        self.tables: dict[str, F] = {}
        kv, states = {}, {}
        for port in self.compiled.inputs:
            name, sizes = port.any_name, list(port.partial_shape)[1:]
            lengths = [size.get_length() for size in sizes]
            if "_cache." in name:
                kv[name] = np.full((num_blocks, *lengths), np.nan, np.float32)
            elif "_state_table." in name:
                states[name] = np.full((num_states, *lengths), np.nan, np.float32)
                states[name][0] = 0
        for name, table in {**kv, **states}.items():
            self.request.set_tensor(name, ov.Tensor(table, shared_memory=True))
        self.kv, self.states = kv, states
        self.names = {name for port in self.compiled.inputs for name in port.names}

    @property
    def kinds(self) -> Counter[str]:
        """Of what is executed."""
        return executed(self.compiled)

    def copy_state(self, source: int, target: int) -> None:
        """A fork."""
        for table in self.states.values():
            table[target] = table[source]

    def step(self, *parts: Part, at_the_same_place: bool = False) -> list[F]:
        """Logits [tokens, vocab] of each part; with positions that are wrong, if they are all the same."""
        counts = [len(part.ids) for part in parts]
        past = np.array([part.past for part in parts], np.int32)
        ends = np.cumsum([0, *counts])
        feed = {
            "input_ids": np.concatenate([np.array(part.ids, np.int64) for part in parts]),
            "position_ids": np.concatenate(
                [np.arange(part.past, part.past + len(part.ids)) for part in parts]
            ),
            "past_lens": past,
            "subsequence_begins": ends.astype(np.int32),
            "block_indices": np.concatenate([part.blocks for part in parts]).astype(np.int32),
            "block_indices_begins": _begins([part.blocks for part in parts]),
            "max_context_len": np.array((past + counts).max(), np.int32),
            "la.block_indices": np.concatenate([part.states for part in parts]).astype(np.int32),
            "la.block_indices_begins": _begins([part.states for part in parts]),
            "la.past_lens": past,
            "la.cache_interval": np.array([part.interval for part in parts], np.int32),
        }
        feed["position_ids"] *= not at_the_same_place
        for name, value in feed.items():
            self.request.set_tensor(name, ov.Tensor(value))
        self.request.infer()
        logits = np.array(self.request.get_output_tensor(0).data).reshape(int(ends[-1]), -1)
        return np.split(logits, ends[1:-1])


def _begins(lists: list[list[int]]) -> np.ndarray:
    return np.cumsum([0, *map(len, lists)]).astype(np.int32)
