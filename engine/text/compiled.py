"""The models that a tokenizer is compiled into, as infer requests.

Owns: what is changed of them when they are read. Does not know: what their tokens mean.
"""

from collections.abc import Callable
from pathlib import Path

import openvino as ov
import openvino_tokenizers  # noqa: F401  registers its operations with every later ov.Core()
from openvino import opset15 as ops

from engine.errors import ModelNotFound, ModelUnsupported


def compile_tokenizer(model_dir: Path) -> ov.InferRequest:
    """Strings [rows] to `input_ids` [rows, tokens]. Raises ModelNotFound or ModelUnsupported."""
    return _compile(model_dir / "openvino_tokenizer.xml")


def compile_detokenizer(model_dir: Path) -> ov.InferRequest:
    """Token ids [rows, tokens] to begins [rows], ends [rows] and the UTF-8 [bytes] of all texts.

    Raises ModelNotFound or ModelUnsupported.
    """
    return _compile(model_dir / "openvino_detokenizer.xml", _give_bytes)


def _give_bytes(model: ov.Model) -> None:
    """Begins [rows], ends [rows] and UTF-8 [bytes] as results of a detokenizer, instead of strings.

    OpenVINO's Python tensors of strings lose the zero characters at a text's end. The model is
    changed in place: it alone keeps the library of its operations loaded.
    """
    (strings,) = model.get_results()
    packed = strings.input_value(0).get_node()
    if packed.get_type_name() != "StringTensorPack":
        raise RuntimeError(f"its last operation, {packed.get_type_name()}, gives no text")
    model.remove_result(strings)
    model.add_results([ops.result(packed.input_value(i)) for i in range(3)])


def _compile(xml: Path, change: Callable[[ov.Model], None] | None = None) -> ov.InferRequest:
    for path in (xml, xml.with_suffix(".bin")):
        if not path.is_file():
            raise ModelNotFound(
                f"{path.parent}: no {path.name} in it. Export the model again with `python -m export`."
            )
    core = ov.Core()
    try:
        model = core.read_model(xml)
        if change is not None:
            change(model)
        compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1})
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelUnsupported(f"{xml}: OpenVINO cannot read it: {reason}") from None
    return compiled.create_infer_request()
