"""Tiny random checkpoints in the file layouts that models come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFEndian, GGUFWriter, TokenType
from gguf.quants import quantize
from numpy.typing import NDArray

F = NDArray[np.float32]
VOCAB = 288


def random_tensors(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, F]:
    """Values of a size that keeps a few layers lively; norms around one."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes.items():
        values = rng.standard_normal(shape).astype(np.float32)
        scale = 0.2 if len(shape) == 1 else 1.5 / np.sqrt(shape[-1])
        tensors[name] = as_bfloat16(values * np.float32(scale) + np.float32("norm" in name))
    return tensors


def as_bfloat16(values: F) -> F:
    """Cut to 8 bits of mantissa and no tiny values: every element encoding holds them exactly."""
    values = np.where(np.abs(values) < 1e-4, np.float32(0), values)
    return (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def byte_level_vocabulary() -> list[str]:
    """The 256 byte symbols of GPT-2's alphabet, then special tokens and padding."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = [chr(byte) for byte in printable]
    symbols += [chr(256 + i) for i in range(256 - len(printable))]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return [*symbols, *special, "he", "ll", *(f"<unused{i}>" for i in range(VOCAB - 261))]


GGUF_SHAPES: dict[str, tuple[int, ...]] = {
    "attn_norm.weight": (64,),
    "attn_q.weight": (64, 64),
    "attn_k.weight": (32, 64),
    "attn_v.weight": (32, 64),
    "attn_output.weight": (64, 64),
    "ffn_norm.weight": (64,),
    "ffn_gate.weight": (96, 64),
    "ffn_up.weight": (96, 64),
    "ffn_down.weight": (64, 96),
}


def write_gguf(
    path: Path,
    encoding: str = "F32",
    architecture: str = "llama",
    extra: Mapping[str, Any] | None = None,
    more_shapes: Mapping[str, tuple[int, ...]] | None = None,
    more_tensors: Mapping[str, F] | None = None,
    big_endian: bool = False,
    tensors_a_file: int = 0,
    without: Sequence[str] = (),
    layers: int = 2,
) -> Path:
    """Some layers, 4 heads of 16 over 2 key heads; matrices in `encoding`. without: of a layer's usual tensors.

    With `tensors_a_file` it is split as llama.cpp does it; the path is then that of the first part.
    """
    order = GGUFEndian.BIG if big_endian else GGUFEndian.LITTLE
    writer = GGUFWriter(path, architecture, endianess=order, split_max_tensors=tensors_a_file)
    writer.add_block_count(layers)
    writer.add_context_length(512)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    _add_tokenizer(writer)
    for key, value in (extra or {}).items():
        _add(writer, key, value)
    shapes = {"token_embd.weight": (VOCAB, 64), "output_norm.weight": (64,)}
    for layer in range(layers):
        kept = {name: shape for name, shape in GGUF_SHAPES.items() if name not in without}
        for name, shape in {**kept, **(more_shapes or {})}.items():
            shapes[f"blk.{layer}.{name}"] = shape
    for name, values in {**random_tensors(shapes), **(more_tensors or {})}.items():
        is_matrix = values.ndim > 1 and name.endswith(".weight") and "_inp" not in name
        kind = GGMLQuantizationType[encoding if is_matrix else "F32"]
        writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path if path.exists() else min(path.parent.glob(f"{path.stem}-*.gguf"))


def _add(writer: GGUFWriter, key: str, value: Any) -> None:
    """`extra` replaces what the file would have."""
    for pairs in writer.kv_data:
        pairs.pop(key, None)
    by_type = {str: writer.add_string, float: writer.add_float32, list: writer.add_array}
    by_type.get(type(value), writer.add_uint32)(key, value)


def _add_tokenizer(writer: GGUFWriter) -> None:
    tokens = byte_level_vocabulary()
    special = [token.startswith("<|") for token in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if s else TokenType.NORMAL for s in special])
    writer.add_token_merges(["h e", "l l"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(258)
