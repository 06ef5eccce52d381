"""Errors of values that a component refuses: told to whoever sent them, and in the log in one line.

Gradio prints some forty lines for each. What a function of ours raises by mistake keeps its traceback.
"""

import logging
from typing import Any

import gradio as gr
from gradio.exceptions import ComponentProcessingError
from pydantic import ValidationError

from web.languages import ENGLISH, say, spoken

log = logging.getLogger(__name__)


def log_briefly(demo: gr.Blocks) -> None:
    """Let the events of `demo` do so."""
    call = demo.process_api

    async def call_briefly(*args: Any, **options: Any) -> Any:
        try:
            return await call(*args, **options)
        except gr.Error as error:
            error.print_exception = False
            log.info("An event was refused: %s", error.message)
            raise
        except (ComponentProcessingError, ValidationError) as error:
            line = " ".join(str(error).split())[:200]
            log.info("An event was refused: %s", line)
            sentence = say(_language(options.get("request")), "call_bad_value")
            raise gr.Error(sentence, print_exception=False) from None

    demo.process_api = call_briefly  # type: ignore[method-assign]


def _language(request: gr.Request | list[gr.Request] | None) -> str:
    """Of whoever asks. A list: of calls that are made together."""
    first = request[0] if isinstance(request, list) else request
    return spoken(first.headers) if first is not None else ENGLISH
