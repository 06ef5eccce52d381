"""Any supported tokenizer -> an OpenVINO tokenizer and detokenizer in a model directory.

The public face of export.tokenizers: `from_gguf` and `from_directory` read, `write` compiles.
Knows nothing of weights or of the engine, which reads what `write` leaves behind.
"""

from export.tokenizers.compiled import write
from export.tokenizers.gguf_metadata import from_gguf
from export.tokenizers.source import TokenizerSource

__all__ = ["TokenizerSource", "from_gguf", "write"]
