"""The box in which an answer is edited, in its place; editing.js puts it there.

Owns: how it looks, and that the text in it is exactly what it is given. Does not know what is an
answer's text.
"""

import html

from web.languages import say


def editor(node_id: int, text: str, asking: str, language: str) -> str:
    """HTML of the box. asking: tells one time that it was asked for from another."""
    # A browser leaves out the first end of line, and takes a bare CR for another one.
    written = "\n" + html.escape(text).replace("\r", "&#13;")
    label = html.escape(say(language, "edit_answer"))
    cancel, save = (html.escape(say(language, key)) for key in ("cancel", "save"))
    return (
        f'<form class="editor" data-id="{node_id}" data-asking="{html.escape(asking)}">'
        f'<textarea aria-label="{label}">{written}</textarea>'
        f'<button type="button" class="cancel">{cancel}</button>'
        f'<button type="submit" class="save">{save}</button></form>'
    )
