"""Images of other hosts in what the model says: not loaded, but named, and opened by a click.

Owns: the script that shows them so, and, beside it, the one that shows why a try to sign in has to wait. That nothing is loaded is the Content-Security-Policy's doing
(web.api); the text of the message stays as it is, so page, history and model agree on it.
"""

import json

from web.languages import LANGUAGES, TEXTS
from web.page import assets

_KEYS = ("remote_image", "remote_image_open")


def head() -> str:
    """HTML for the page's head."""
    table = {language: {key: TEXTS[language][key] for key in _KEYS} for language in LANGUAGES}
    words = json.dumps(table, ensure_ascii=False).replace("<", "\\u003c")
    return f"<script>{assets.text('images.js').replace('__WORDS__', words)}</script>"


def sign_in_script() -> str:
    """HTML for the head of the page that asks for a password, which Gradio gives no other place."""
    return f"<script>{assets.text('sign_in.js')}</script>"
