r"""Any supported tokenizer -> an OpenVINO tokenizer and detokenizer in a model directory.

The public face of export.tokenizers, which knows neither weights nor the engine. What is written
adds no token while encoding, and every special string becomes its id (so split those inside text
from people). Behind "\n" any text continues as it is, without the space some tokenizers prepend.
"""

from pathlib import Path

from export.tokenizers.compiled import ensure_compiled, write
from export.tokenizers.directory import from_directory
from export.tokenizers.gguf_metadata import from_gguf
from export.tokenizers.source import TokenizerSource

__all__ = [
    "TokenizerSource",
    "ensure_compiled",
    "from_directory",
    "from_gguf",
    "replace_inexact",
    "write",
]


def replace_inexact(model_dir: Path) -> None:
    """See export.tokenizers.stock, which is slow to import."""
    from export.tokenizers import stock  # noqa: PLC0415

    stock.replace_inexact(model_dir)
