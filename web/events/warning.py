"""What the engine refuses a page, in the corner of that page and in its language."""

import gradio as gr

from engine.errors import EngineError
from web.languages import spoken, translated


def warn(error: EngineError, request: gr.Request) -> None:
    """Say there why what was asked for is not done."""
    gr.Warning(translated(error, spoken(request.headers)))
