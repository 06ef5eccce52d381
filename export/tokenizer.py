"""Any supported tokenizer -> an OpenVINO tokenizer and detokenizer in a model directory.

The public face of export.tokenizers: `from_gguf` and `from_directory` read, `write` compiles.
Knows nothing of weights or of the engine, which reads what `write` leaves behind.
"""

from export.tokenizers.compiled import ensure_compiled, write
from export.tokenizers.directory import from_directory
from export.tokenizers.gguf_metadata import from_gguf
from export.tokenizers.source import TokenizerSource

__all__ = ["TokenizerSource", "ensure_compiled", "from_directory", "from_gguf", "write"]
