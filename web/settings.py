"""The settings of a conversation as controls of the page.

Owns: which there are, their ranges and explanations. Does not know what they do to a turn.
"""

from typing import Any

import gradio as gr

from engine import SamplingParams
from web.words import words


def controls(params: SamplingParams) -> list[gr.components.Component]:
    """The controls, in the order in which `Page.chat` takes their values."""

    def named(key: str) -> dict[str, Any]:
        return {"label": words(key), "info": words(f"{key}_info"), "render": False}

    longest = max(2048, params.max_tokens)
    return [
        gr.Textbox("", lines=2, max_lines=6, **named("system_prompt")),
        gr.Slider(1, longest, params.max_tokens, step=1, **named("max_tokens")),
        gr.Slider(0, 2, params.temperature, step=0.05, **named("temperature")),
        gr.Slider(0.05, 1, params.top_p, step=0.01, **named("top_p")),
        gr.Slider(0, 200, params.top_k, step=1, **named("top_k")),
        gr.Number(-1, precision=0, minimum=-1, **named("seed")),
        gr.Slider(0, 1, params.min_p, step=0.01, **named("min_p")),
        gr.Slider(0.5, 2, params.repetition_penalty, step=0.05, **named("repetition_penalty")),
        gr.Slider(-2, 2, params.presence_penalty, step=0.1, **named("presence_penalty")),
        gr.Slider(-2, 2, params.frequency_penalty, step=0.1, **named("frequency_penalty")),
        gr.Textbox("", lines=1, max_lines=4, **named("stop")),
        gr.Checkbox(True, **named("draft")),
    ]
