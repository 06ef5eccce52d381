"""AWQ in AutoAWQ's GEMM version.

qweight [columns, rows / 8] and qzeros [groups, rows / 8] hold neighbouring rows in a word, in an order of
their own; scales [groups, rows].
"""

from __future__ import annotations

from export.coded import CodedMatrix
from export.sources.checkpoint import Config
from export.sources.quantized.configuration import unsupported_form
from export.sources.quantized.parts import Parts
from export.sources.quantized.words import along_rows, as_floats
from export.tensors import StoredTensor, compound_tensor

PARTS = ("qweight", "qzeros", "scales")
KEYS = ("qweight",)
# Where in a word each of eight rows stands.
LANES = (0, 4, 1, 5, 2, 6, 3, 7)
BITS = 4


def check(settings: Config) -> None:
    """Raise ExportError for what is packed otherwise."""
    bits = settings.get("bits", settings.get("w_bit", BITS))
    if bits != BITS:
        raise unsupported_form("awq", f"bits: {bits}")
    version = str(settings.get("version") or "gemm")
    if version.lower() != "gemm":
        raise unsupported_form("awq", f"version: {version}")


def matrix(parts: Parts, _settings: Config) -> StoredTensor:
    """The compound matrix; raises ExportError where parts do not fit."""
    words, zeros, scales = (
        parts.integers("qweight"),
        parts.integers("qzeros"),
        parts.floats("scales"),
    )
    (columns, packed), groups = words.shape, scales.shape[0]
    rows = packed * 32 // BITS
    parts.expect(scales.shape == (groups, rows), zeros.shape == (groups, packed))
    if not groups or columns % groups:
        raise parts.unsupported(f"{groups} groups")
    coded = CodedMatrix(
        BITS,
        columns // groups,
        along_rows(words.T, BITS, LANES),
        as_floats(scales.stored.T, scales.encoding),
        along_rows(zeros.T, BITS, LANES),
    )
    return compound_tensor(parts.name, "AWQ", (rows, columns), coded)
