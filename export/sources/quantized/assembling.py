"""Which tensors of a checkpoint belong to one matrix, and what makes one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from export.errors import ExportError
from export.sources.checkpoint import Config
from export.sources.quantized import awq, gptq
from export.sources.quantized.configuration import unsupported_method
from export.sources.quantized.parts import Parts
from export.tensors import StoredTensor

Tensors = dict[str, StoredTensor]


@dataclass(frozen=True)
class Method:
    """What its modules' tensors are called, and how they become a matrix; `key` is the one that all have."""

    parts: tuple[str, ...]
    key: str
    check: Callable[[Config], None]
    matrix: Callable[[Parts, Config], StoredTensor]


METHODS = {
    "gptq": Method(gptq.PARTS, gptq.KEY, gptq.check, gptq.matrix),
    "awq": Method(awq.PARTS, awq.KEY, awq.check, awq.matrix),
}


def assembled(tensors: Tensors, settings: Config, folder: Path) -> Tensors:
    """The tensors, those of each quantised matrix as one. Raises ExportError for forms that are not read."""
    if not settings:
        _refuse_unexplained(tensors, folder)
        return tensors
    name = str(settings.get("quant_method"))
    method = METHODS.get(name)
    if method is None:
        raise unsupported_method(name)
    method.check(settings)
    return dict(_items(tensors, name, method, settings))


def _items(
    tensors: Tensors, name: str, method: Method, settings: Config
) -> Iterator[tuple[str, StoredTensor]]:
    modules = [key[: -len(method.key) - 1] for key in tensors if key.endswith(f".{method.key}")]
    taken: set[str] = set()
    for module in modules:
        found = {p: tensors[f"{module}.{p}"] for p in method.parts if f"{module}.{p}" in tensors}
        taken |= {f"{module}.{part}" for part in found}
        yield f"{module}.weight", method.matrix(Parts(f"{module}.weight", name, found), settings)
    yield from ((key, tensor) for key, tensor in tensors.items() if key not in taken)


def _refuse_unexplained(tensors: Tensors, folder: Path) -> None:
    for name in tensors:
        if name.endswith((".qweight", ".weight_packed")):
            raise ExportError(
                f"{folder} holds quantized weights ({name}), but no quantization_config in config.json "
                "that says how to read them; download the model again, all its files included."
            )
