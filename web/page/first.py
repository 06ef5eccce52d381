"""What stands in front of Gradio's scripts: what is to be seen though they are refused, or before they run.

Owns: the scripts that show why a page stays blank, and why a try to sign in has to wait, and the one that tells the time of day. What these say
is web.api's and web.gate's.
"""

from web.page import assets


def first(*, asks_for_password: bool) -> str:
    """HTML for the very beginning of the page."""
    names = ["refused.js", "clock.js", "streams.js", *(["sign_in.js"] if asks_for_password else [])]
    return "".join(f"<script>{assets.text(name)}</script>" for name in names)
