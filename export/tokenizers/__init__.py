"""The parts behind `export.tokenizer`: readers of tokenizer formats, and the OpenVINO compiler.

Import `export.tokenizer`, not these modules. They know files and vocabularies; they do not know
weights, graphs or the engine.
"""

__all__ = ["compiled", "directory", "gguf_metadata", "source", "stock"]
