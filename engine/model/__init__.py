"""One forward: the graph, how it is rewritten when it is loaded, and the KV tensors it writes.

Does not know whose tokens they are, nor what becomes of the logits.
"""

from engine.model.assembly import LoadedModel, load_model, wants_single_token_graph
from engine.model.batch import Inputs, build_inputs
from engine.model.digest import digest_of_model, digest_of_tokenizer
from engine.model.kv_cache import KVCache, KVPort
from engine.model.model import CompileOptions, Model
from engine.model.model_files import (
    read_context_length,
    read_eos_token_ids,
    read_settings,
)
from engine.model.pages import fresh_bytes
from engine.model.runner import ForwardModel, Logits, Runner
from engine.model.threads import usable_cpus
from engine.model.warm_up import WarmUp, likely_shapes

__all__ = [
    "CompileOptions",
    "ForwardModel",
    "Inputs",
    "KVCache",
    "KVPort",
    "LoadedModel",
    "Logits",
    "Model",
    "Runner",
    "WarmUp",
    "build_inputs",
    "digest_of_model",
    "digest_of_tokenizer",
    "fresh_bytes",
    "likely_shapes",
    "load_model",
    "read_context_length",
    "read_eos_token_ids",
    "read_settings",
    "usable_cpus",
    "wants_single_token_graph",
]
