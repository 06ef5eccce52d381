"""Running an exported model at full precision: whole, token by token, padded, explicit, paged."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino._offline_transformations import paged_attention_transformation

F = NDArray[np.float32]
EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}


def compiled(xml: Path, properties: dict[str, str] = EXACT) -> ov.CompiledModel:
    return ov.Core().compile_model(xml, "CPU", properties)


class Stateful:
    """Input and output of a stateful or explicit model; the KV stays between calls."""

    def __init__(self, model: ov.CompiledModel) -> None:
        self.model = model
        self.request = model.create_infer_request()
        self.explicit = [
            port.any_name
            for port in model.inputs
            if port.any_name.startswith(("past_key_values.", "cache_params.past."))
        ]
        self.past: dict[str, F] = {}
        self.mask = np.zeros((0, 0), np.int64)

    def reset(self) -> None:
        self.past, self.mask = {}, np.zeros((0, 0), np.int64)
        if not self.explicit:
            self.request.reset_state()

    def step(self, ids: Sequence[Sequence[int]], mask: Sequence[Sequence[int]] | None = None) -> F:
        """New tokens [batch][tokens] -> logits [batch, tokens, vocab]."""
        tokens = np.array(ids, np.int64)
        new = np.ones_like(tokens) if mask is None else np.array(mask, np.int64)
        self.mask = np.concatenate([self.mask.reshape(len(tokens), -1), new], axis=1)
        positions = np.maximum(np.cumsum(self.mask, axis=1) - 1, 0)[:, -tokens.shape[1] :]
        feed: dict[str, Any] = {
            "input_ids": tokens,
            "attention_mask": self.mask,
            "position_ids": np.ascontiguousarray(positions),
        }
        if self.explicit:
            feed |= {name: self._past(name, len(tokens)) for name in self.explicit}
        else:
            feed["beam_idx"] = np.arange(len(tokens), dtype=np.int32)
        outputs = self.request.infer(feed)
        for name in self.explicit:
            present = name.replace("past_key_values", "present").replace("past", "present")
            self.past[name] = outputs[present].copy()
        return np.array(outputs["logits"])

    def _past(self, name: str, batch: int) -> F:
        if name in self.past:
            return self.past[name]
        _, *sizes = self.model.input(name).partial_shape
        shape = [0 if size.is_dynamic else size.get_length() for size in sizes]
        return np.zeros((batch, *shape), np.float32)


class Paged:
    """One sequence through OpenVINO's paged attention, its blocks in a scattered order."""

    def __init__(self, xml: Path, num_blocks: int = 8) -> None:
        core = ov.Core()
        model = core.read_model(xml)
        paged_attention_transformation(model)
        self.compiled = core.compile_model(model, "CPU", EXACT)
        self.request = self.compiled.create_infer_request()
        self.pool = {}
        for port in self.compiled.inputs:
            if "cache." in port.any_name or "_state_table." in port.any_name:
                sizes = [size.get_length() for size in list(port.partial_shape)[1:]]
                tensor = ov.Tensor(port.element_type, ov.Shape([num_blocks, *sizes]))
                tensor.data[...] = np.nan
                if "_state_table." in port.any_name:
                    tensor.data[0] = 0  # what a sequence begins from
                self.pool[port.any_name] = tensor
                self.request.set_tensor(port.any_name, tensor)
        self.names = {name for port in self.compiled.inputs for name in port.names}
        self.block_size = self.pool["value_cache.0"].shape[2]
        self.table = list(range(num_blocks))[::-1]
        self.past = 0

    def step(self, ids: Sequence[int]) -> F:
        """New tokens [tokens] -> logits [tokens, vocab]."""
        end = self.past + len(ids)
        blocks = self.table[: -(-end // self.block_size)]
        feed = {
            "input_ids": np.array(ids, np.int64),
            "position_ids": np.arange(self.past, end, dtype=np.int64),
            "past_lens": np.array([self.past], np.int32),
            "subsequence_begins": np.array([0, len(ids)], np.int32),
            "block_indices": np.array(blocks, np.int32),
            "block_indices_begins": np.array([0, len(blocks)], np.int32),
            "max_context_len": np.array(end, np.int32),
            "la.block_indices": np.array([1 if self.past else 0, 1], np.int32),
            "la.block_indices_begins": np.array([0, 2], np.int32),
            "la.past_lens": np.array([self.past], np.int32),
            "la.cache_interval": np.array([2**30], np.int32),
        }
        feed = {name: value for name, value in feed.items() if name in self.names}
        for name, value in feed.items():
            self.request.set_tensor(name, ov.Tensor(value))
        self.request.infer()
        self.past = end
        return np.array(self.request.get_output_tensor(0).data).reshape(len(ids), -1)


def pieces(ids: Sequence[int], *sizes: int) -> list[Sequence[int]]:
    """Split into the given sizes, then single tokens."""
    stops = np.cumsum((0, *sizes, *[1] * (len(ids) - sum(sizes)))).tolist()
    return [ids[start:stop] for start, stop in itertools.pairwise(stops)]
