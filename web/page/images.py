"""Images of other hosts in what the model says: not loaded, but named, and opened by a click.

Owns: the script that shows them so. That nothing is loaded is the Content-Security-Policy's doing
(web.api); the text of the message stays as it is, so page, history and model agree on it.
"""

from web.page import assets

_KEYS = ("remote_image", "remote_image_open")


def head() -> str:
    """HTML for the page's head."""
    return f"<script>{assets.speaking(_KEYS, 'images.js')}</script>"
