"""Which tensors of a checkpoint belong to one matrix, and what makes one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from export.errors import ExportError
from export.sources.checkpoint import Config
from export.sources.quantized import awq, gptq, mxfp4, scaled
from export.sources.quantized.configuration import unsupported_method
from export.sources.quantized.parts import Parts
from export.tensors import StoredTensor

Tensors = dict[str, StoredTensor]


@dataclass(frozen=True)
class Method:
    """What its modules' tensors are called, and how they become a matrix; each has one of `keys`."""

    parts: tuple[str, ...]
    keys: tuple[str, ...]
    check: Callable[[Config], None]
    matrix: Callable[[Parts, Config], StoredTensor]
    ignored: re.Pattern[str] | None = None


_SCALED = Method(scaled.PARTS, scaled.KEYS, scaled.check, scaled.matrix, scaled.IGNORED)
METHODS = {
    "gptq": Method(gptq.PARTS, gptq.KEYS, gptq.check, gptq.matrix),
    "awq": Method(awq.PARTS, awq.KEYS, awq.check, awq.matrix),
    "compressed-tensors": _SCALED,
    "fp8": _SCALED,
    "fbgemm_fp8": _SCALED,
}


def assembled(tensors: Tensors, settings: Config, folder: Path) -> Tensors:
    """The tensors, those of each quantised matrix as one. Raises ExportError for forms that are not read."""
    if not settings:
        _refuse_unexplained(tensors, folder)
        return tensors
    name = str(settings.get("quant_method"))
    if name == "mxfp4":  # whose parts are no modules
        return mxfp4.assembled(tensors, settings)
    method = METHODS.get(name)
    if method is None:
        raise unsupported_method(name)
    method.check(settings)
    return dict(_items(tensors, name, method, settings))


def _items(
    tensors: Tensors, called: str, method: Method, settings: Config
) -> Iterator[tuple[str, StoredTensor]]:
    split = [name.rpartition(".") for name in tensors]
    modules = dict.fromkeys(module for module, _, part in split if part in method.keys)
    taken = {key for key in tensors if method.ignored and method.ignored.fullmatch(key)}
    for module in modules:
        found = {p: tensors[f"{module}.{p}"] for p in method.parts if f"{module}.{p}" in tensors}
        taken |= {f"{module}.{part}" for part in found}
        yield f"{module}.weight", method.matrix(Parts(f"{module}.weight", called, found), settings)
    yield from ((key, tensor) for key, tensor in tensors.items() if key not in taken)


def _refuse_unexplained(tensors: Tensors, folder: Path) -> None:
    for name in tensors:
        if name.endswith((".qweight", ".weight_packed")):
            raise ExportError(
                f"{folder} holds quantized weights ({name}), but no quantization_config in config.json "
                "that says how to read them; download the model again, all its files included."
            )
