"""Files in and out: what people attach to messages, and what they save.

Knows files and their texts; does not know what becomes of a message, or Gradio's components.
"""

from web.files.attaching import Attaching, uploads_in
from web.files.attachments import Said, read_message, read_page, readable_title, size
from web.files.downloads import Downloads, download_route

__all__ = [
    "Attaching",
    "Downloads",
    "Said",
    "download_route",
    "read_message",
    "read_page",
    "readable_title",
    "size",
    "uploads_in",
]
