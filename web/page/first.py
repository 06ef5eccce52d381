"""What stands in front of Gradio's scripts: what is to be seen though they are refused, or before they run.

Owns: the scripts that show why a page stays blank, and why a try to sign in has to wait, the one that tells the time of
day, and those that keep the connection, with their words. What the others say is web.api's and web.gate's.
"""

from web.languages import LANGUAGES, TEXTS
from web.page import assets

_KEYS = ("disconnected", "connection_lost", "connection_back", "reload")


def first(*, asks_for_password: bool) -> str:
    """HTML for the very beginning of the page."""
    names = ["refused.js", "clock.js", "connection.js", "streams.js"]
    if asks_for_password:
        names.append("sign_in.js")
    words = {language: {key: TEXTS[language][key] for key in _KEYS} for language in LANGUAGES}
    texts = [assets.text(name).replace("__WORDS__", assets.literal(words)) for name in names]
    return "".join(f"<script>{text}</script>" for text in texts)
