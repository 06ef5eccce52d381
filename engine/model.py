"""The language model: read its IR, make attention paged, compile, one forward at a time.

Owns: the compiled model and its infer request. Does not know: sequences, sessions, text.
Takes stateful IRs (Optimum-Intel's, OpenVINO GenAI's, this project's) and explicit ones with
past_key_values.N inputs and present.N outputs; both become stateful first, then paged. The
paged-attention transformation is an internal OpenVINO API, which is why OpenVINO is pinned exactly.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
import openvino_tokenizers  # noqa: F401  registers its operations with every later ov.Core()
from openvino import opset13 as ops
from openvino._offline_transformations import paged_attention_transformation

from engine import key_scales
from engine.batch import Inputs
from engine.errors import ModelNotFound, ModelUnsupported
from engine.joining import join_small_products
from engine.kv_cache import KVCache, KVPort
from engine.quantizing import ACTIVATION_GROUP, multiplies_int8, quantize_products
from engine.stateful import make_stateful

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class CompileOptions:
    """What decides how a model is compiled; `precision` and `kv_precision` as in EngineConfig.

    There is no CACHE_DIR: OpenVINO 2026.4.1 writes a paged model to its cache and never gets it
    back, because the cached form loses the run-time info (k_head_size) that paged attention needs.
    """

    device: str
    num_threads: int
    kv_precision: str
    precision: str = "f32"

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
        """Whether products are to run in int8, where the CPU and the weights allow it."""
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
        self._compiled = _compile(model_dir, options)
        self._request = self._compiled.create_infer_request()
        self.kv_ports = [_kv_port(p) for p in self._compiled.inputs if "_cache." in p.any_name]
        if not self.kv_ports:
            raise ModelUnsupported(f"{model_dir}: no attention layer with a KV cache was found.")
        values = [port for port in self.kv_ports if port.name.startswith("value_cache")]
        self.block_size = values[0].block_shape[1]
        self.block_bytes = sum(port.block_bytes for port in self.kv_ports)
        self.vocab_size = int(self._compiled.outputs[0].partial_shape[-1].get_length())
        self._input_names = {port.any_name for port in self._compiled.inputs}

    def bind(self, kv_cache: KVCache) -> None:
        """Use these KV tensors from now on."""
        for name, tensor in kv_cache.tensors.items():
            self._request.set_tensor(name, tensor)

    def forward(self, inputs: Inputs) -> Logits:
        """One step; see engine.batch.build_inputs. Writes the new keys and values into the KV cache.

        Returns [len(logit_indices), vocab] float32, valid until the next forward.
        """
        for name, value in inputs.items():
            if name in self._input_names:
                self._request.set_tensor(name, ov.Tensor(value, shared_memory=True))
        self._request.infer()
        logits: Logits = self._request.get_output_tensor(0).data
        return logits.reshape(-1, self.vocab_size)


def _compile(model_dir: Path, options: CompileOptions) -> ov.CompiledModel:
    core = ov.Core()
    if options.device not in core.available_devices:
        raise ModelUnsupported(
            f"OpenVINO sees no device {options.device!r} here, only {', '.join(core.available_devices)}."
        )
    model = read_paged(core, model_dir)
    properties = {}
    if options.is_int8 and multiplies_int8() and quantize_products(model):
        properties["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = str(ACTIVATION_GROUP)
    if options.rounds_keys and key_scales.fit_tokens(model):
        properties["KEY_CACHE_QUANT_MODE"] = "BY_TOKEN"
    try:
        return core.compile_model(model, options.device, {**properties, **options.properties()})
    except RuntimeError as error:
        raise ModelUnsupported(
            f"{model_dir}: OpenVINO cannot compile it: {_reason(error)}"
        ) from None


def read_paged(core: ov.Core, model_dir: Path) -> ov.Model:
    """The IR in `model_dir` with paged attention and the extra input `logit_indices` [rows] int64.

    Small products are joined. Raises ModelNotFound or ModelUnsupported.
    """
    for name in ("openvino_model.xml", "openvino_model.bin"):
        if not (model_dir / name).is_file():
            raise ModelNotFound(
                f"{model_dir}: no {name} in it. Export a model with `python -m export SOURCE --out DIR`."
            )
    try:
        model = make_stateful(core.read_model(model_dir / "openvino_model.xml"))
        paged_attention_transformation(model)
    except RuntimeError as error:
        raise ModelUnsupported(
            f"{model_dir}: OpenVINO cannot make its attention paged ({_reason(error)}). "
            "Export it again with `python -m export SOURCE --out DIR`."
        ) from None
    pick_logits(model)
    join_small_products(model)
    return model


def pick_logits(model: ov.Model) -> None:
    """Compute logits only for the packed rows in the new input `logit_indices`.

    The Gather goes in front of the lm_head: without it, prefill spends half its time on logits
    that nobody reads.
    """
    head = _lm_head(model.output(0).get_node())
    rows = ops.parameter([-1], ov.Type.i64)
    rows.output(0).set_names({"logit_indices"})
    rows.set_friendly_name("logit_indices")
    picked = ops.gather(head.input_value(0), rows, ops.constant(np.int64(0)))
    head.input(0).replace_source_output(picked.output(0))
    model.add_parameters([rows])
    model.validate_nodes_and_infer_types()


def _lm_head(result: Any) -> Any:
    """The MatMul in front of the model's result, or the result itself when there is none."""
    node = result.input_value(0).get_node()
    while node.get_type_name() in {"Add", "Convert", "Multiply", "Divide", "Tanh", "Reshape"}:
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "MatMul" else result


def _kv_port(port: Any) -> KVPort:
    shape = tuple(dimension.get_length() for dimension in list(port.partial_shape)[1:])
    return KVPort(port.any_name, port.element_type, shape)


def _reason(error: RuntimeError) -> str:
    """The last line of an OpenVINO exception, which says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "unknown reason"
