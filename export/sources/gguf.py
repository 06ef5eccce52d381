"""GGUF files: metadata as a Hugging Face configuration, tensors under canonical names.

The format is ggml's gguf.md; parsing is the gguf library's. llama.cpp stores the query and key
rows of its "llama" architecture with interleaved rotary pairs: they are put back here. What the
metadata asks for and the families do not model is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError
from export.sources.checkpoint import Checkpoint, Config
from export.spec import EMBEDDING, FINAL_NORM, LM_HEAD
from export.tensors import StoredTensor, evens_then_odds

ARCHITECTURES = ("llama", "qwen2", "qwen3")
ROPE_FACTORS = "rope_freqs.weight"
GLOBAL_NAMES = {
    "token_embd.weight": EMBEDDING,
    "output_norm.weight": FINAL_NORM,
    "output.weight": LM_HEAD,
}
LAYER_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def open_gguf(path: Path) -> Checkpoint:
    """Map the file; raises ExportError if it is damaged or asks for what is not modelled."""
    reader = _reader(path)
    config = _Metadata(path, reader).config()
    stored = {tensor.name: tensor for tensor in _stored_tensors(path, reader)}
    if "token_embd.weight" not in stored:
        raise ExportError(f"{path} holds no token embedding; it is not a text model.")
    config["vocab_size"] = stored["token_embd.weight"].rows
    factors = stored.pop(ROPE_FACTORS, None)
    if factors is not None:
        config["rope_frequency_factors"] = factors.read().tolist()
    config["tie_word_embeddings"] = "output.weight" not in stored
    config["attention_bias"] = "blk.0.attn_q.bias" in stored
    config["attention_output_bias"] = "blk.0.attn_output.bias" in stored
    return Checkpoint(path, config, dict(_canonical(stored, config)), gguf_reader=reader)


def _reader(path: Path) -> Any:
    from gguf import GGUFReader  # noqa: PLC0415  (slow to import)

    try:
        return GGUFReader(path, "c")
    except FileNotFoundError:
        raise ExportError(f"{path}: no such file; check the path.") from None
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, IndexError, KeyError) as error:
        raise ExportError(_what_is_wrong(path)) from error


def _what_is_wrong(path: Path) -> str:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == b"GGUF":
        return f"{path} is a GGUF file, but it is damaged or cut short; download it again."
    return (
        f"{path} is not a GGUF file; give a GGUF file, a model folder or a name from the catalog."
    )


class _Metadata:
    """The file's key-value pairs."""

    def __init__(self, path: Path, reader: Any) -> None:
        self._path = path
        self._fields = reader.fields
        self.architecture = str(self._value("general.architecture"))

    def config(self) -> Config:
        """The configuration in Hugging Face's words."""
        self._refuse_what_is_not_modelled()
        heads = int(self._of("attention.head_count"))
        hidden = int(self._of("embedding_length"))
        head_dim = int(self._of("attention.key_length", hidden // heads))
        context = int(self._of("context_length"))
        return {
            "model_type": self.architecture,
            "hidden_size": hidden,
            "intermediate_size": int(self._of("feed_forward_length")),
            "num_hidden_layers": int(self._of("block_count")),
            "num_attention_heads": heads,
            "num_key_value_heads": int(self._of("attention.head_count_kv", heads)),
            "head_dim": head_dim,
            "rms_norm_eps": float(self._of("attention.layer_norm_rms_epsilon")),
            "rope_theta": float(self._of("rope.freq_base", 10000.0)),
            "rope_scaling": self._rope_scaling(),
            "max_position_embeddings": context,
            "hidden_act": "silu",
            **self._token_ids(),
        }

    def _refuse_what_is_not_modelled(self) -> None:
        if self.architecture not in ARCHITECTURES:
            self._refuse(f"architecture {self.architecture!r}")
        if int(self._value("split.count", 1)) > 1:
            raise ExportError(
                f"{self._path} is one part of a split GGUF; join the parts with "
                "llama.cpp's `llama-gguf-split --merge` first."
            )
        if self._of("expert_count", 0):
            self._refuse("mixture of experts")
        window = self._of("attention.sliding_window", None)
        if window and window < self._of("context_length"):
            self._refuse("sliding-window attention")
        heads = self._of("attention.head_count")
        width = self._of("attention.key_length", self._of("embedding_length") // heads)
        if self._of("rope.dimension_count", width) != width:
            self._refuse("partial rotary embedding in this architecture")
        if self._of("attention.value_length", width) != width:
            self._refuse("values wider or narrower than the keys")

    def _rope_scaling(self) -> Config | None:
        method = self._of("rope.scaling.type", "none")
        if method == "none":
            return None
        return {"rope_type": method, "factor": float(self._of("rope.scaling.factor", 1.0))}

    def _token_ids(self) -> Config:
        ids = {
            name: self._value(f"tokenizer.ggml.{name}", None)
            for name in ("bos_token_id", "eos_token_id")
        }
        end_of_turn = self._value("tokenizer.ggml.eot_token_id", None)
        known = {name: int(value) for name, value in ids.items() if value is not None}
        if end_of_turn is None or int(end_of_turn) == known.get("eos_token_id"):
            return known
        eos = [known["eos_token_id"]] if "eos_token_id" in known else []
        return {**known, "eos_token_id": [*eos, int(end_of_turn)]}

    def _of(self, key: str, *default: Any) -> Any:
        return self._value(f"{self.architecture}.{key}", *default)

    def _value(self, key: str, *default: Any) -> Any:
        if key in self._fields:
            return self._fields[key].contents()
        if not default:
            raise ExportError(f"{self._path} lacks the metadata {key!r}; it is not a text model.")
        return default[0]

    def _refuse(self, what: str) -> None:
        raise ExportError(
            f"{self._path} asks for {what}, which is not supported "
            f"(GGUF architectures: {', '.join(ARCHITECTURES)})."
        )


def _stored_tensors(path: Path, reader: Any) -> Iterator[StoredTensor]:
    checked: set[str] = set()
    for tensor in reader.tensors:
        stored = StoredTensor(
            name=tensor.name,
            stored=_elements(tensor),
            encoding=tensor.tensor_type.name,
            shape=tuple(int(size) for size in reversed(tensor.shape)),
        )
        if stored.encoding not in checked:
            _check_encoding(path, stored)
            checked.add(stored.encoding)
        yield stored


def _elements(tensor: Any) -> NDArray[np.generic]:
    """The mapped array; the library gives bfloat16 as bytes."""
    stored: NDArray[np.generic] = np.asarray(tensor.data)
    return stored.view(np.uint16) if tensor.tensor_type.name == "BF16" else stored


def _check_encoding(path: Path, tensor: StoredTensor) -> None:
    try:
        tensor.read(0, 1)
    except NotImplementedError as error:
        raise ExportError(
            f"{path}: {tensor.name} is stored as {tensor.encoding}, which the gguf library cannot "
            "de-quantise; choose a file with another quantization."
        ) from error


def _canonical(
    stored: dict[str, StoredTensor], config: Config
) -> Iterator[tuple[str, StoredTensor]]:
    interleaved = config["model_type"] == "llama"
    for name, tensor in stored.items():
        canonical = canonical_name(name)
        if interleaved and (".q_proj." in canonical or ".k_proj." in canonical):
            width = config["head_dim"]
            order = evens_then_odds(tensor.rows // width, width, width)
            yield canonical, tensor.reorder(order)
        else:
            yield canonical, replace(tensor)


def canonical_name(name: str) -> str:
    """The canonical name of a GGUF tensor; unknown names come back as they are."""
    if name in GLOBAL_NAMES:
        return GLOBAL_NAMES[name]
    match name.split("."):
        case ["blk", layer, part, kind] if part in LAYER_NAMES:
            return f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}"
    return name
