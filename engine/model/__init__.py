"""One forward: the graph, how it is rewritten when it is loaded, and the KV tensors it writes.

Does not know whose tokens they are, nor what becomes of the logits.
"""

from engine.model.batch import Inputs, build_inputs
from engine.model.kv_cache import KVCache, KVPort
from engine.model.model import CompileOptions, Model
from engine.model.model_files import (
    read_completion_prefix,
    read_context_length,
    read_eos_token_ids,
    read_settings,
)
from engine.model.pages import fresh_bytes
from engine.model.runner import ForwardModel, Logits, Runner
from engine.model.single_token import is_worth_it
from engine.model.threads import available_memory_bytes, usable_cpus
from engine.model.warm_up import WarmUp, likely_shapes

__all__ = [
    "CompileOptions",
    "ForwardModel",
    "Inputs",
    "KVCache",
    "KVPort",
    "Logits",
    "Model",
    "Runner",
    "WarmUp",
    "available_memory_bytes",
    "build_inputs",
    "fresh_bytes",
    "is_worth_it",
    "likely_shapes",
    "read_completion_prefix",
    "read_context_length",
    "read_eos_token_ids",
    "read_settings",
    "usable_cpus",
]
