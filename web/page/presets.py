"""What can be chosen at once: system prompts, and ways to sample.

Owns: which presets there are, what each sets, and which one a set of values is. Their texts are in
web.languages.texts. Pure; does not know Gradio.
"""

from collections.abc import Mapping
from typing import Any

from engine import SamplingParams
from web.languages import LANGUAGES, say

NO_PROMPT, OWN_PROMPT = "none", "own"
PROMPTS = ("assistant", "translator", "programmer", "editor", "teacher")
PROMPT_CHOICES = (NO_PROMPT, *PROMPTS, OWN_PROMPT)

SAMPLING_KEYS = (
    "temperature", "top_p", "top_k", "min_p",
    "repetition_penalty", "presence_penalty", "frequency_penalty",
)  # fmt: skip
BALANCED = "balanced"  # what the server samples with unless it is told otherwise
_OFF = {
    "top_p": 1.0, "top_k": 0, "min_p": 0.0,
    "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
}  # fmt: skip
_PRECISE = {"temperature": 0.0, **_OFF}
_CREATIVE = {"temperature": 0.9, **_OFF, "min_p": 0.08, "presence_penalty": 0.3}


def sampling_presets(params: SamplingParams) -> dict[str, dict[str, float]]:
    """What each sampling preset sets; params: the server's."""
    balanced = {key: getattr(params, key) for key in SAMPLING_KEYS}
    return {"precise": dict(_PRECISE), BALANCED: balanced, "creative": dict(_CREATIVE)}


def sampling_preset(
    values: Mapping[str, Any], presets: Mapping[str, Mapping[str, float]]
) -> str | None:
    """The preset that sets just these values, or None."""
    for name, those in presets.items():
        if all(values[key] == value for key, value in those.items()):
            return name
    return None


def prompt_text(preset: str, language: str) -> str:
    """The system prompt of a preset; empty for none."""
    return say(language, f"prompt_{preset}_text") if preset in PROMPTS else ""


def prompt_preset(text: str) -> str:
    """The preset that `text` is, in whatever language, or that it is the person's own."""
    if not text.strip():
        return NO_PROMPT
    for preset in PROMPTS:
        if any(text.strip() == prompt_text(preset, language) for language in LANGUAGES):
            return preset
    return OWN_PROMPT


def translated(text: str, language: str) -> str:
    """A preset's prompt in `language`; one's own stays as it is."""
    preset = prompt_preset(text)
    return text if preset == OWN_PROMPT else prompt_text(preset, language)
