"""Key and value blocks as OpenVINO's CPU plugin lays them out: raw bytes to floats, and back.

Owns: that layout, as in intel_cpu/src/nodes/kernels/scaled_attn/attn_quant.cpp. Does not know: which
block belongs to whom, positions. A block has, for each head, a row for each token; in u8 either each row
begins with a float32 scale and a float32 zero point of its own (values; keys by token), or the rows
stand behind float32 scales [head_dim] and zero points [head_dim] of all of them (keys by channel).
"""

import numpy as np
import numpy.typing as npt
import openvino as ov

from engine.model import KVPort

Raw = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

BLOCK_SIZE = 32  # tokens; the plugin has no other
_PARAMETERS = 8  # bytes of a float32 scale and a float32 zero point
_LEVELS = np.float32(255)


def head_dim(port: KVPort) -> int | None:
    """Channels of a head in key blocks; None where their layout is not known."""
    _, rows, width = port.block_shape
    if port.element_type in (ov.Type.f32, ov.Type.f16, ov.Type.bf16):
        return width if rows == BLOCK_SIZE else None
    if port.element_type != ov.Type.u8:
        return None
    if _is_by_token(port):
        # More bytes would be the parameters of more groups than one, which nothing here asks for.
        return width - _PARAMETERS
    return width if rows == BLOCK_SIZE + _PARAMETERS else None


def decode_keys(port: KVPort, blocks: Raw) -> Keys:
    """Keys [kv_heads, blocks * BLOCK_SIZE, head_dim] of raw key blocks [blocks, block bytes]."""
    heads, rows, width = port.block_shape
    if port.element_type != ov.Type.u8:
        return _as_float32(port, blocks).swapaxes(0, 1).reshape(heads, -1, width)
    shaped = blocks.reshape(-1, heads, rows, width).swapaxes(0, 1)
    if _is_by_token(port):
        codes = shaped[..., _PARAMETERS:]
        parameters = np.ascontiguousarray(shaped[..., :_PARAMETERS]).view(np.float32)
        scale, zero_point = parameters[..., :1], parameters[..., 1:]
    else:
        codes = shaped[:, :, _PARAMETERS:]
        parameters = np.ascontiguousarray(shaped[:, :, :_PARAMETERS]).view(np.float32)
        scale, zero_point = np.split(parameters.reshape(heads, -1, 2, width), 2, axis=2)
    keys = np.empty(codes.shape, np.float32)
    np.subtract(codes, zero_point, out=keys)
    with np.errstate(over="ignore", invalid="ignore"):  # slots behind the last token hold anything
        keys *= scale
    return keys.reshape(heads, -1, codes.shape[-1])


def encode_keys(port: KVPort, keys: Keys) -> Raw:
    """Raw key blocks [blocks, block bytes] of `keys` [kv_heads, tokens, head_dim], whole blocks.

    For u8 each token, or each channel of a block, gets its own range, as OpenVINO does it; `keys` is
    overwritten.
    """
    heads, rows, width = port.block_shape
    shaped = keys.reshape(heads, -1, BLOCK_SIZE, keys.shape[-1])
    if port.element_type != ov.Type.u8:
        return _from_float32(port, shaped.swapaxes(0, 1))
    by_token = _is_by_token(port)
    scale, zero_point = _quantize(shaped, axis=3 if by_token else 2)
    blocks = np.empty((shaped.shape[1], heads, rows, width), np.uint8)
    of_head = blocks.swapaxes(0, 1)
    parameters = np.concatenate([scale, zero_point], axis=3 if by_token else 2).view(np.uint8)
    if by_token:
        of_head[..., :_PARAMETERS] = parameters
        codes = of_head[..., _PARAMETERS:]
    else:
        of_head[:, :, :_PARAMETERS] = parameters.reshape(heads, -1, _PARAMETERS, width)
        codes = of_head[:, :, _PARAMETERS:]
    np.copyto(codes, shaped, casting="unsafe")
    return blocks.reshape(len(blocks), -1)


def take_rows(port: KVPort, blocks: Raw, rows: Rows) -> Raw:
    """Blocks made of token `rows` of value blocks; each row carries its own scale, if any."""
    heads, block_size, _ = port.block_shape
    tokens = blocks.reshape(len(blocks), heads, block_size, -1).swapaxes(0, 1)
    taken = tokens.reshape(heads, -1, tokens.shape[-1]).take(rows, axis=1)
    by_block = taken.reshape(heads, -1, block_size, tokens.shape[-1]).swapaxes(0, 1)
    return by_block.reshape(len(rows) // block_size, -1)


def _is_by_token(port: KVPort) -> bool:
    return port.block_shape[1] == BLOCK_SIZE


def _quantize(keys: Keys, axis: int) -> tuple[Keys, Keys]:
    """Make `keys` codes of 0 to 255, in place; their scales and zero points along `axis`."""
    low, high = keys.min(axis=axis, keepdims=True), keys.max(axis=axis, keepdims=True)
    scale = (high - low) / _LEVELS
    scale[scale == 0] = 1e-4
    keys -= low
    keys *= 1 / scale
    np.rint(keys, out=keys)
    return scale, -low / scale


def _as_float32(port: KVPort, blocks: Raw) -> Keys:
    shape = (len(blocks), *port.block_shape)
    if port.element_type == ov.Type.bf16:
        wide = blocks.view(np.uint16).astype(np.uint32) << np.uint32(16)
        return wide.view(np.float32).reshape(shape)
    kind = np.float16 if port.element_type == ov.Type.f16 else np.float32
    return blocks.view(kind).astype(np.float32).reshape(shape)


def _from_float32(port: KVPort, keys: Keys) -> Raw:
    keys = np.ascontiguousarray(keys).reshape(len(keys), -1)
    if port.element_type == ov.Type.bf16:
        bits = keys.view(np.uint32)
        to_even = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return ((bits + to_even) >> np.uint32(16)).astype(np.uint16).view(np.uint8)
    kind = np.float16 if port.element_type == ov.Type.f16 else np.float32
    return keys.astype(kind).view(np.uint8)
