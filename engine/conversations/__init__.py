"""What was said, as trees of messages, and where it is written down.

Does not know how a reply comes about, nor where its KV is.
"""

from engine.conversations.conversation import Entry, Feedback, Node
from engine.conversations.home import Home, open_journal
from engine.conversations.journal import Journal
from engine.conversations.library import MAX_TITLE_LENGTH, Library
from engine.conversations.restoring import moment
from engine.conversations.session import PRIVATE, PROGRAMS, Branch, Session, SessionId, SessionTable
from engine.conversations.storage import Storage, open_storage
from engine.conversations.store import ConversationRow, StoreError, Trouble
from engine.conversations.trails import Trails
from engine.conversations.writer import Stored

__all__ = [
    "MAX_TITLE_LENGTH",
    "PRIVATE",
    "PROGRAMS",
    "Branch",
    "ConversationRow",
    "Entry",
    "Feedback",
    "Home",
    "Journal",
    "Library",
    "Node",
    "Session",
    "SessionId",
    "SessionTable",
    "Storage",
    "StoreError",
    "Stored",
    "Trails",
    "Trouble",
    "moment",
    "open_journal",
    "open_storage",
]
