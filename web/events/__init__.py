"""What each event of a page does: a message, Stop, a click in the list, a file that is attached.

Takes what Gradio hands over, asks turns and engine, returns what the page shows. Does not know layout.
"""

from web.events.chat import Chat
from web.events.client import Client
from web.events.composing import DRAFT_S, Composing
from web.events.conversations import Conversations
from web.events.edits import Edits
from web.events.exchange import SUFFIXES, Exchange
from web.events.overview import SETTLING_S, Overview, model_status

__all__ = [
    "DRAFT_S",
    "SETTLING_S",
    "SUFFIXES",
    "Chat",
    "Client",
    "Composing",
    "Conversations",
    "Edits",
    "Exchange",
    "Overview",
    "model_status",
]
