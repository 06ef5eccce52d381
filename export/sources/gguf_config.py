"""The metadata of a GGUF file as a Hugging Face configuration.

The keys are those of ggml's gguf.md. What the metadata asks for and the families do not model is
refused, and so is what no model can have. Knows no tensors and no tokenizer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.sources import gguf_experts, gguf_hybrids
from export.sources.checkpoint import Config
from export.sources.gguf_architectures import ARCHITECTURES

# Layers of the models of 27 billion parameters, whose scores have a scale of their own, which no key names.
GEMMA_27B = {"gemma2": 46, "gemma3": 62}


_SCALING_KEYS = {
    "yarn_beta_fast": "beta_fast",
    "yarn_beta_slow": "beta_slow",
}


class Metadata:
    """A file's key-value pairs, typed."""

    def __init__(self, path: Path, reader: Any) -> None:
        self._path = path
        self._fields = reader.fields
        self.architecture = self._text("general.architecture")

    def config(self) -> Config:
        """The configuration in Hugging Face's words."""
        self._refuse_what_is_not_modelled()
        heads = self._size("attention.head_count")
        hidden = self._size("embedding_length")
        width = self._size("attention.key_length", hidden // heads)
        return {
            "model_type": ARCHITECTURES[self.architecture].model_type,
            "hidden_size": hidden,
            "intermediate_size": self._size("feed_forward_length"),
            "num_hidden_layers": self.num_layers,
            "num_attention_heads": heads,
            "num_key_value_heads": self._kv_heads(heads),
            "head_dim": width,
            "rms_norm_eps": self._positive("attention.layer_norm_rms_epsilon"),
            "rope_theta": self._positive("rope.freq_base", 10000.0),
            "rope_scaling": self._rope_scaling(),
            "max_position_embeddings": self._size("context_length"),
            "partial_rotary_factor": self._of("rope.dimension_count", width) / width,
            "sliding_window": self._of("attention.sliding_window", None),
            "original_max_position_embeddings": self._of(
                "rope.scaling.original_context_length", None
            ),
            "hidden_act": "silu",
            **self._of_the_architecture(hidden // heads, width),
            **self._token_ids(),
        }

    def _of_the_architecture(self, share: int, width: int) -> Config:
        """What this one has that others have not. share: of the hidden size, a head's; width: of its keys."""
        architecture = ARCHITECTURES[self.architecture]
        named = {
            ours: self._positive(key)
            for key, ours in architecture.keys.items()
            if self._of(key, None) is not None
        }
        found = {**architecture.settings, **named}
        if self._of("expert_count", 0):
            found |= {"model_type": architecture.with_experts}
            found |= gguf_experts.settings(self._size, self._of)
        if gguf_hybrids.is_hybrid(self.architecture):
            found |= self._of_the_hybrid()
        if self.architecture in GEMMA_27B:
            is_27b = self._size("block_count") == GEMMA_27B[self.architecture]
            found["query_pre_attn_scalar"] = share if is_27b else width
        return found

    def _of_the_hybrid(self) -> Config:
        said = self._value(f"{self.architecture}.attention.head_count_kv", None)
        each = said if isinstance(said, list) else None
        found = gguf_hybrids.settings(self.architecture, self._size, each, self.num_layers)
        if self._of("rope.scaling.finetuned", True) and self.architecture == "granitehybrid":
            found["position_embedding_type"] = "rope"
        return found

    def _kv_heads(self, heads: int) -> int:
        """Those of the layers that have any."""
        said = self._value(f"{self.architecture}.attention.head_count_kv", heads)
        if gguf_hybrids.is_hybrid(self.architecture) and isinstance(said, list):
            counts = set(said) - {0}
            if len(counts) == 1:
                return int(counts.pop())
        return self._size("attention.head_count_kv", heads)

    @property
    def num_layers(self) -> int:
        """Of the model itself; those for guessing several tokens at once (MTP) stand behind them."""
        return self._size("block_count") - int(self._of("nextn_predict_layers", 0))

    @property
    def num_tokens(self) -> int:
        """How many tokens the tokenizer in the file has; 0 without one."""
        field = self._fields.get("tokenizer.ggml.tokens")
        return 0 if field is None else len(field.data)

    def _refuse_what_is_not_modelled(self) -> None:
        if self.architecture not in ARCHITECTURES:
            self._refuse(f"architecture {self.architecture!r}")
        if self._of("expert_count", 0) and ARCHITECTURES[self.architecture].with_experts is None:
            self._refuse("mixture of experts")
        heads = self._size("attention.head_count")
        width = self._size("attention.key_length", self._size("embedding_length") // heads)
        is_part = self._of("rope.dimension_count", width) != width
        if is_part and not ARCHITECTURES[self.architecture].is_partly_rotated:
            self._refuse("partial rotary embedding in this architecture")
        if self._of("attention.value_length", width) != width:
            self._refuse("values wider or narrower than the keys")

    def _rope_scaling(self) -> Config | None:
        """As llama.cpp reads it: a factor without a type is linear, and files of 2023 have another key."""
        factor = self._of("rope.scaling.factor", None) or self._of("rope.scale_linear", None)
        factor = float(factor or 1.0)
        method = self._of("rope.scaling.type", "linear" if factor != 1.0 else "none")
        if method == "none":
            return None
        more: Config = {
            name: float(value)
            for key, name in _SCALING_KEYS.items()
            if (value := self._of(f"rope.scaling.{key}", None)) is not None
        }
        if self.architecture == "gpt-oss":  # its checkpoints say so, no key of the file does
            more["truncate"] = False
        return {"rope_type": method, "factor": factor, **more}

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

    def _size(self, key: str, *default: int) -> int:
        return int(self._positive(key, *default))

    def _positive(self, key: str, *default: float) -> float:
        found = self._of(key, *default)
        if isinstance(found, bool | str) or not 0 < found < float("inf"):
            raise ExportError(
                f"{self._path}: {self.architecture}.{key} is {found!r}; the file is damaged, "
                "download it again."
            )
        return float(found)

    def _of(self, key: str, *default: Any) -> Any:
        """A setting of the architecture; one number where a list has the same for each layer."""
        found = self._value(f"{self.architecture}.{key}", *default)
        if not isinstance(found, list):
            return found
        if len(set(found)) != 1:
            self._refuse(f"{key} that differs from layer to layer")
        return found[0]

    def _text(self, key: str) -> str:
        found = self._value(key)
        if not isinstance(found, str):
            raise ExportError(
                f"{self._path}: {key} is not valid text; the file is damaged, download it again."
            )
        return found

    def _value(self, key: str, *default: Any) -> Any:
        if key in self._fields:
            try:
                return self._fields[key].contents()
            except UnicodeDecodeError as error:
                raise ExportError(
                    f"{self._path}: {key} is not valid text; the file is damaged, download it again."
                ) from error
        if not default:
            raise ExportError(f"{self._path} lacks the metadata {key!r}; it is not a text model.")
        return default[0]

    def _refuse(self, what: str) -> None:
        raise ExportError(
            f"{self._path} asks for {what}, which is not supported "
            f"(GGUF architectures: {', '.join(ARCHITECTURES)})."
        )
