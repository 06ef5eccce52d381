"""What stands in front of Gradio's scripts: what is to be seen though they are refused, or before they run.

Owns: the scripts that show why a page stays blank, and why a try to sign in has to wait, the one that tells the time of
day, and those that keep the connection, with their words; and the look of the page that asks for a password. What
the others say is web.api's and web.gate's.
"""

from web.page import assets

_KEYS = ("disconnected", "connection_lost", "connection_back", "reload")
_SCRIPTS = ("refused.js", "clock.js", "connection.js", "streams.js")


def first(*, asks_for_password: bool) -> str:
    """HTML for the very beginning of the page."""
    html = f"<script>{assets.speaking(_KEYS, *_SCRIPTS)}</script>"
    if asks_for_password:
        html += f"<style>{assets.text('palette.css', 'sign_in.css')}</style>"
        html += f"<script>{assets.text('sign_in.js')}</script>"
    return html
