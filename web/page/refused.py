"""What a page shows whose scripts the server refuses, as behind a proxy that writes another Host.

Owns: the script that shows it, in front of those that may be refused. What it says is web.api's.
"""

from web.page import assets


def first() -> str:
    """HTML for the very beginning of the page."""
    return f"<script>{assets.text('refused.js')}</script>"
