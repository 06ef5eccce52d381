"""Who is asking: the owner and conversation ids that the browser keeps.

Owns: how ids are minted and which ones are accepted. The owner id is a bearer token: whoever has it
sees the conversations, so it is 192 random bits and never written to a log. Does not know Gradio;
session_hash, new at every page load, is no identity.
"""

import re
import secrets
from typing import Any

from engine import SessionId

STORAGE_KEY = "warmchat"
# Sent to every browser, so it hides nothing; it is fixed so that a restart can still read the ids.
STORAGE_SECRET = "warmchat-1"  # noqa: S105

_ID_BYTES = 24
_ID = re.compile(r"[A-Za-z0-9_-]{22,64}")  # 22 characters of base64 carry 128 bits


def mint(owner: str | None = None) -> dict[str, str]:
    """A new conversation of `owner`, or of a new owner, as the browser stores it."""
    return {
        "owner": owner or secrets.token_urlsafe(_ID_BYTES),
        "conversation": secrets.token_urlsafe(_ID_BYTES),
    }


def session_id(stored: Any) -> SessionId | None:
    """The session that `stored` names, or None if it is not what `mint` makes."""
    if not isinstance(stored, dict):
        return None
    ids = stored.get("owner"), stored.get("conversation")
    if not all(isinstance(part, str) and _ID.fullmatch(part) for part in ids):
        return None
    return SessionId(str(ids[0]), str(ids[1]))
