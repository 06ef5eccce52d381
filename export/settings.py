"""Reading a model's configuration: typed values, and what no family here models.

Every complaint is an ExportError that names the key. Follows the names of Hugging Face's
config.json, old (rope_theta, rope_scaling) and new (rope_parameters).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from export.errors import ExportError
from export.rope import LONGROPE, ORIGINAL, method_of
from export.sources.checkpoint import Config

FULL, SLIDING = "full_attention", "sliding_attention"
SILU = ("silu", "swish")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_intermediate_size")


def unmodelled(what: str) -> ExportError:
    """The complaint of something that no family here has."""
    return ExportError(f"The model's configuration asks for {what}, which is not supported.")


@dataclass(frozen=True)
class Settings:
    """A configuration with typed access."""

    config: Config

    def size(self, key: str, default: int | None = None) -> int:
        """A positive integer; null counts as absent."""
        value = self.config.get(key)
        value = default if value is None else value
        if not isinstance(value, int) or value <= 0:
            raise ExportError(f"The configuration lacks a positive {key!r}, but has {value!r}.")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A positive number; null counts as absent."""
        value = self.config.get(key)
        value = default if value is None else value
        if not isinstance(value, int | float) or value <= 0:
            raise ExportError(f"The configuration lacks a positive {key!r}, but has {value!r}.")
        return float(value)

    @property
    def rope_scaling(self) -> Config:
        """The scaling of rotary angles, empty for none; with what it takes from beside it."""
        for key in ("rope_parameters", "rope_scaling"):
            if isinstance(value := self.config.get(key), dict):
                return self._completed(value)
        return {}

    def _completed(self, scaling: Config) -> Config:
        """The original context may stand outside; longrope's factor is then that of the whole to it."""
        whole = self.config.get("max_position_embeddings")
        original = scaling.get(ORIGINAL) or self.config.get(ORIGINAL) or whole
        completed = {**scaling, ORIGINAL: original}
        if method_of(scaling) in LONGROPE and scaling.get("factor") is None and original and whole:
            completed["factor"] = whole / original
        return completed

    @property
    def max_positions(self) -> int:
        """Tokens of context; with longrope the original ones, for which its short factors are."""
        if method_of(self.rope_scaling) in LONGROPE:
            return Settings(self.rope_scaling).size(ORIGINAL)
        return self.size("max_position_embeddings")

    def rope(self, key: str, default: float) -> float:
        """A rotary setting, from rope_parameters or the configuration itself."""
        value = self.rope_scaling.get(key, self.config.get(key))
        return float(default if value is None else value)

    def refuse_unmodelled(
        self,
        activations: tuple[str, ...] = SILU,
        modelled: Collection[str] = (),
        kinds: tuple[str, ...] = (),
    ) -> None:
        """Raise ExportError for a setting that changes the mathematics and is not modelled.

        activations: the names of the one that the family has. modelled: what
        it has of all that is refused in others. kinds: of layers that it has beside the usual ones.
        """
        for what, asked in self._unmodelled(activations, kinds).items():
            if asked and what not in modelled:
                raise unmodelled(what)

    def _unmodelled(self, activations: tuple[str, ...], kinds: tuple[str, ...]) -> dict[str, Any]:
        get = self.config.get
        activation = get("hidden_act", get("hidden_activation")) or activations[0]
        strange = self._strange_layers(kinds)
        return {
            f"layers of the kind {', '.join(strange)}": strange,
            "mixture of experts": any(get(key) for key in EXPERTS),
            f"the activation {activation!r}": activation not in activations,
            "logit soft-capping": get("final_logit_softcapping") or get("attn_logit_softcapping"),
        }

    def _strange_layers(self, known: tuple[str, ...]) -> list[str]:
        kinds = self.config.get("layer_types") or []
        return sorted({str(kind) for kind in kinds} - {FULL, SLIDING, *known})

    def windowed(self, layers: int) -> frozenset[int]:
        """The layers that look back at `sliding_window` tokens only, where that is less than the context."""
        window = self.config.get("sliding_window")
        if not window or window >= self.max_positions:
            return frozenset()
        if kinds := self.config.get("layer_types"):
            return frozenset(i for i, kind in enumerate(kinds[:layers]) if kind == SLIDING)
        # Qwen2's configuration has a switch, and names the first of them; others mean all.
        switch = self.config.get("use_sliding_window")
        if switch is None:
            return frozenset(range(layers))
        first = self.config.get("max_window_layers") or 0
        return frozenset(range(first, layers)) if switch else frozenset()
