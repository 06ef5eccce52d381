"""What a person prefers: the settings by name, what is possible, and what the browser remembers.

Owns: names, ranges and defaults of the settings, and the check of what comes back from the browser's
store, which anybody may have written. Only what differs from the server's defaults is remembered, so
that a new default reaches everybody who never changed it. Does not know Gradio.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine import SamplingParams
from web.options import LONGEST_ANSWER
from web.page import presets

STORAGE_KEY = "warmchat-settings"

Value = str | float | bool | None
Values = dict[str, Value]

_LONGEST_TEXT = 20_000
_RANDOM_SEED = -1


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a setting can have. whole: only integers."""

    lowest: float
    highest: float
    step: float

    @property
    def whole(self) -> bool:
        """Whether the numbers are integers."""
        return self.step == 1


_RANGES = {
    "temperature": Range(0, 2, 0.05),
    "top_p": Range(0.05, 1, 0.01),
    "top_k": Range(0, 200, 1),
    "seed": Range(_RANDOM_SEED, 2**31 - 1, 1),
    "min_p": Range(0, 1, 0.01),
    "repetition_penalty": Range(0.5, 2, 0.05),
    "presence_penalty": Range(-2, 2, 0.1),
    "frequency_penalty": Range(-2, 2, 0.1),
}
_TEXTS = ("system_prompt", "stop")
_SWITCHES = {"draft": True, "thinking": False}

# The order in which Chat.answer takes them.
NAMES = (
    "system_prompt", "max_tokens", "temperature", "top_p", "top_k", "seed", "min_p",
    "repetition_penalty", "presence_penalty", "frequency_penalty", "stop", "draft", "thinking",
)  # fmt: skip


class Preferences:
    """The settings of this server. params: its defaults."""

    def __init__(self, params: SamplingParams) -> None:
        self.ranges = _RANGES | {"max_tokens": Range(0, LONGEST_ANSWER, 1)}
        self.sampling = presets.sampling_presets(params)
        numbers = {key: getattr(params, key) for key in presets.SAMPLING_KEYS}
        known: Values = {
            **dict.fromkeys(_TEXTS, ""),
            **_SWITCHES,
            **numbers,
            "max_tokens": params.max_tokens % LONGEST_ANSWER,  # 0: as long as the context allows
            "seed": _RANDOM_SEED,
        }
        self.defaults: Values = {name: known[name] for name in NAMES}

    def remembered(self, values: Mapping[str, Any]) -> Values:
        """What of `values` the browser is to keep."""
        kept = {name: values[name] for name in NAMES if self.is_possible(name, values[name])}
        return {name: value for name, value in kept.items() if value != self.defaults[name]}

    def restored(self, stored: Any, language: str) -> Values:
        """All settings, from what the browser kept; what makes no sense there is as by default."""
        known = stored if isinstance(stored, dict) else {}
        possible = {n: v for n, v in known.items() if n in NAMES and self.is_possible(n, v)}
        values = self.defaults | possible
        text = str(values["system_prompt"])
        return values | {"system_prompt": presets.translated(text, language)}

    def is_possible(self, name: str, value: Any) -> bool:
        """Whether the setting can have this value."""
        if name in _TEXTS:
            return isinstance(value, str) and len(value) <= _LONGEST_TEXT
        if name in _SWITCHES:
            return isinstance(value, bool)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        span = self.ranges[name]
        is_inside = math.isfinite(value) and span.lowest <= value <= span.highest
        return is_inside and (not span.whole or value == int(value))
