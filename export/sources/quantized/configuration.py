"""What a checkpoint says of its quantization, wherever it says so, and how forms that are not read are refused.

Today that is config.json's `quantization_config`; before, AutoGPTQ and AutoAWQ wrote files of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from export.errors import ExportError
from export.sources.checkpoint import Config

SUPPORTED = ("gptq", "awq", "compressed-tensors", "fp8", "mxfp4")
_GPTQ_FILE, _AWQ_FILE = "quantize_config.json", "quant_config.json"


def quantization_of(folder: Path, config: Config, read_json: Callable[[Path], Config]) -> Config:
    """The settings, with their `quant_method`; empty for a checkpoint in full."""
    if isinstance(stated := config.get("quantization_config"), dict) and stated:
        return stated
    if isinstance(stated := config.get("compression_config"), dict) and stated:
        return {"quant_method": "compressed-tensors", **stated}
    if (folder / _GPTQ_FILE).is_file():
        return {"quant_method": "gptq", **read_json(folder / _GPTQ_FILE)}
    if (folder / _AWQ_FILE).is_file():
        return {"quant_method": "awq", **read_json(folder / _AWQ_FILE)}
    return {}


def unsupported_method(method: str) -> ExportError:
    """The error for what is read in no form."""
    return ExportError(
        f"The model's weights are quantized by {method}, which is not supported (supported: "
        f"{', '.join(SUPPORTED)}); export the original model with --weights int4 instead."
    )


def unsupported_form(method: str, what: str) -> ExportError:
    """The error for a form of a method that is not read; what: a setting or a tensor's name, as it stands there."""
    return ExportError(
        f"The model's weights are quantized by {method} in a form that is not supported ({what}); "
        "export the original model with --weights int4 instead."
    )
