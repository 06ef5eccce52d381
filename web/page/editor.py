"""Where the box comes in which an answer is edited; editing.js takes it from there to the answer.

Owns: the component and its event. Does not know what an answer's text is (web.events.edits).
"""

from typing import Any

import gradio as gr

from web.events import Edits
from web.page import assets
from web.page.kept_chat import QUIET


def build(edits: Edits, ids: Any) -> None:
    """Make it, where nobody sees it. ids: what the browser stores."""
    place = gr.HTML(js_on_load=assets.text("editor.js"), apply_default_css=False, elem_id="editor")
    place.click(edits.open, ids, place, trigger_mode="multiple", **QUIET)
