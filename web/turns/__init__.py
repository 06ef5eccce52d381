"""What a page asks of the engine: turns, one at a time for each page, drafts and completions.

Values and coroutines only; does not know Gradio, languages, or how anything looks.
"""

from web.turns.completing import Completions, Moment
from web.turns.drafts import Drafts
from web.turns.frames import Frame, Preparing, Progress
from web.turns.history import PageMessage, text_of, user_texts
from web.turns.live_turn import Continuation, Request, template_options
from web.turns.turns import Turns

__all__ = [
    "Completions",
    "Continuation",
    "Drafts",
    "Frame",
    "Moment",
    "PageMessage",
    "Preparing",
    "Progress",
    "Request",
    "Turns",
    "template_options",
    "text_of",
    "user_texts",
]
