"""The language model: compiled with paged attention, one forward at a time.

Owns: the compiled graphs and their infer requests. Does not know: sequences, sessions, text.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
import openvino_tokenizers  # noqa: F401  registers its operations with every later ov.Core()

from engine.config import KV_PRECISIONS, require
from engine.errors import ModelUnsupported
from engine.model import key_scales
from engine.model.batch import INPUT_NAMES, Inputs
from engine.model.kv_cache import KVCache, KVPort
from engine.model.paging import STATE_TABLE, last_line, read_paged
from engine.model.quantizing import ACTIVATION_GROUP, quantize_products
from engine.model.single_token import is_single_token, multiply_bytes_in_floats, single_token_graph

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class CompileOptions:
    """What decides how a model is compiled; `precision` and `kv_precision` as in EngineConfig.

    single_token: compile a second graph, for steps of a single token.
    There is no CACHE_DIR: OpenVINO 2026.4.1 writes a paged model to its cache and never gets it
    back, because the cached form loses the run-time info (k_head_size) that paged attention needs.
    """

    device: str
    num_threads: int
    kv_precision: str
    precision: str = "f32"
    single_token: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether everything between the weights and the KV is f32."""
        # bf16 KV goes with bf16 activations only.
        return self.kv_precision == "f32" or (
            self.precision == "f32" and self.kv_precision != "bf16"
        )

    @property
    def rounds_keys(self) -> bool:
        """Whether keys are quantised, and need not be as near to what they were as they can."""
        return self.kv_precision == "u8" and not self.is_exact

    @property
    def is_int8(self) -> bool:
        """Whether weights may become int8, and products run in it where the CPU does."""
        return self.precision == "auto" and not self.is_exact

    def properties(self) -> dict[str, str]:
        """OpenVINO's properties for compile_model."""
        exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": str(self.num_threads),
            "KV_CACHE_PRECISION": self.kv_precision,
            **(exact if self.is_exact else {}),
        }


class Model:
    """A compiled paged model. Single-threaded: one forward at a time."""

    def __init__(self, model_dir: Path, options: CompileOptions) -> None:
        graphs = _graphs(model_dir, options)
        self._any, *singles = _compile(model_dir, graphs, options.device)
        self._single = singles[0] if singles else None
        self.has_single_token_graph = self._single is not None
        self.kv_ports = self._any.kv_ports
        if not self.kv_ports:
            raise ModelUnsupported(f"{model_dir}: no attention layer with a KV cache was found.")
        values = [port for port in self.kv_ports if port.name.startswith("value_cache")]
        self.block_size = values[0].block_shape[1]
        self.block_bytes = sum(port.block_bytes for port in self.kv_ports)
        self.state_ports = self._any.state_ports
        self.state_bytes = sum(port.block_bytes for port in self.state_ports)
        self.vocab_size = int(self._any.compiled.outputs[0].partial_shape[-1].get_length())

    def bind(self, *caches: KVCache) -> None:
        """Use these KV tensors from now on, and these state tables where there are any."""
        for program in filter(None, (self._any, self._single)):
            for cache in caches:
                program.bind(cache)

    def forward(self, inputs: Inputs) -> Logits:
        """One step; see engine.model.batch.build_inputs. Writes the new keys and values into the KV cache.

        Returns [len(logit_indices), vocab] float32, valid until the next forward.
        """
        return self.program_for(inputs).run(inputs).reshape(-1, self.vocab_size)

    def program_for(self, inputs: Inputs) -> "Program":
        """What runs such a step."""
        return self._single if self._single and is_single_token(inputs) else self._any


class Program:
    """A compiled graph with its infer request, whose input tensors are written to again and again."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self.compiled = compiled
        self.kv_ports = _ports(compiled, "_cache.")
        self.state_ports = _ports(compiled, STATE_TABLE)
        self._request = compiled.create_infer_request()
        given = [name for port in compiled.inputs if (name := _given_name(port)) is not None]
        self._inputs: dict[str, npt.NDArray[Any]] = dict.fromkeys(given, np.empty((0, 0)))

    def bind(self, cache: KVCache) -> None:
        """Use these KV tensors or state tables from now on."""
        for name, tensor in cache.tensors.items():
            self._request.set_tensor(name, tensor)

    def run(self, inputs: Inputs) -> Logits:
        """The graph's first output, valid until the next run."""
        for name, tensor in self._inputs.items():
            value = inputs[name]
            if tensor.shape == value.shape:
                tensor[...] = value
            else:
                self._set(name, value)
        return self.again()

    def again(self) -> Logits:
        """As `run`, with the inputs of the last one."""
        self._request.infer()
        logits: Logits = self._request.get_output_tensor(0).data
        return logits

    def _set(self, name: str, value: npt.NDArray[Any]) -> None:
        tensor = ov.Tensor(value)  # a copy
        self._request.set_tensor(name, tensor)
        self._inputs[name] = tensor.data


Graph = tuple[ov.Model, dict[str, str]]  # what is compiled, with which properties


def _graphs(model_dir: Path, options: CompileOptions) -> list[Graph]:
    """The graph for any step, then the one for single tokens if that is wanted and can be made."""
    core = ov.Core()
    if options.device not in core.available_devices:
        raise ModelUnsupported(
            f"OpenVINO sees no device {options.device!r} here, only {', '.join(core.available_devices)}."
        )
    _check_kv_precision(core, options)
    model, properties = read_paged(core, model_dir), options.properties()
    if options.is_int8 and quantize_products(model):
        properties = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": str(ACTIVATION_GROUP)} | properties
    if options.rounds_keys and key_scales.fit_tokens(model):
        properties = {"KEY_CACHE_QUANT_MODE": "BY_TOKEN"} | properties
    graphs = [(model, properties)]
    if options.single_token and (single := single_token_graph(model)) is not None:
        graphs.append((single, properties | multiply_bytes_in_floats(single)))
    return graphs


def _check_kv_precision(core: ov.Core, options: CompileOptions) -> None:
    """Raise ConfigError for KV in bf16 where OpenVINO has no bf16 activations for it."""
    if options.kv_precision == "bf16":
        others = ", ".join(precision for precision in KV_PRECISIONS if precision != "bf16")
        require(
            core.get_property(options.device, "INFERENCE_PRECISION_HINT") == ov.Type.bf16,
            "KV precision 'bf16' needs a CPU with bf16 instructions (AVX512_BF16 or AMX), "
            f"which this one has not; choose one of {others}.",
        )


def _compile(model_dir: Path, graphs: list[Graph], device: str) -> list[Program]:
    """All of them at once: most of a compilation is one thread's work."""
    core = ov.Core()

    def compile_one(graph: Graph) -> ov.CompiledModel:
        return core.compile_model(graph[0], device, graph[1])

    try:
        with ThreadPoolExecutor(len(graphs)) as pool:
            return [Program(compiled) for compiled in pool.map(compile_one, graphs)]
    except RuntimeError as error:
        raise ModelUnsupported(
            f"{model_dir}: OpenVINO cannot compile it: {last_line(error)}"
        ) from None


def _given_name(port: Any) -> str | None:
    """Which of a step's arrays an input takes; it may have further names, in any order."""
    return next((name for name in INPUT_NAMES if name in port.names), None)


def _ports(compiled: ov.CompiledModel, kind: str) -> list[KVPort]:
    """The inputs whose names have `kind` in them."""
    named = [(next((n for n in port.names if kind in n), None), port) for port in compiled.inputs]
    return [_kv_port(name, port) for name, port in named if name is not None]


def _kv_port(name: str, port: Any) -> KVPort:
    shape = tuple(dimension.get_length() for dimension in list(port.partial_shape)[1:])
    return KVPort(name, port.element_type, shape)
