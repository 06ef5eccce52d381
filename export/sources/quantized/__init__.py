"""Checkpoints of Hugging Face's layout that are quantised already: GPTQ, AWQ, compressed-tensors and FP8.

What a file keeps in several tensors becomes one compound matrix by the name that the full model's has. Knows
neither families nor OpenVINO.
"""

from export.sources.quantized.assembling import assembled
from export.sources.quantized.configuration import quantization_of

__all__ = ["assembled", "quantization_of"]
