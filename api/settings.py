"""From the fields of a request to how the engine makes the reply.

Owns: which of a client's words is which of the engine's. Does not know HTTP.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from api.wire import Sampling
from engine import Grammar, ModelInfo, SamplingParams
from engine.text import THINKING

_NO_THOUGHTS = {"none", "minimal"}
# Fields that are called alike on both sides.
_ALIKE = (
    "temperature",
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a reply is made with. template_options: variables of the chat template. grammar: what it keeps to."""

    params: SamplingParams
    system: str | None = None
    template_options: dict[str, Any] = field(default_factory=dict)
    grammar: Grammar | None = None


def sampling_of(asked: Sampling, default: SamplingParams, max_tokens: int | None) -> SamplingParams:
    """How the reply is sampled; what the client leaves out is as the server has it."""
    told: dict[str, Any] = {name: getattr(asked, name) for name in _ALIKE}
    told["top_k"] = None if asked.top_k is None else max(asked.top_k, 0)  # vLLM's -1: all of them
    told["max_tokens"] = max_tokens
    # Clients of llama.cpp mean by -1 that any will do.
    told["seed"] = None if asked.seed in (None, -1) else asked.seed % 2**64
    given = {name: value for name, value in told.items() if value is not None}
    biases = tuple((asked.logit_bias or {}).items())
    return replace(default, **given, stop=asked.stop, logit_bias=biases)


def options_of(
    info: ModelInfo, effort: str | None, variables: dict[str, Any] | None
) -> dict[str, Any]:
    """Variables of the template: the client's own, and whether to think, where the model has the choice."""
    options = dict(variables or {})
    if effort is not None:
        options.setdefault("reasoning_effort", effort)
        if info.can_think:
            options.setdefault(THINKING, effort not in _NO_THOUGHTS)
    return options
