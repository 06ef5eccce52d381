"""Who is asking: the owner and conversation ids that the browser keeps.

Owns: how ids are minted and which ones are accepted. Who has signed in owns what is theirs by name, on
every device. Otherwise the owner id is a bearer token: whoever has it sees the conversations, so it is
192 random bits and never written to a log. Neither can pass for the other: a token has no colon, an
owner by name begins with `user:`. Does not know Gradio; session_hash is no identity.
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


def user_owner(username: str | None) -> str | None:
    """The owner that somebody who signed in is; None for a visitor without a name."""
    return f"user:{username}" if username else None


def mint(owner: str | None = None) -> dict[str, str]:
    """A new conversation of `owner`, or of a new owner, as the browser stores it."""
    return {
        "owner": owner or secrets.token_urlsafe(_ID_BYTES),
        "conversation": secrets.token_urlsafe(_ID_BYTES),
    }


def session_id(stored: Any, username: str | None) -> SessionId | None:
    """The session that `stored` names; None if `mint` did not make that for this visitor."""
    if not isinstance(stored, dict):
        return None
    owner, user = stored.get("owner"), user_owner(username)
    if user is None and not _is_token(owner):
        return None
    if user is not None and owner != user:
        return None
    return conversation_of(str(owner), stored.get("conversation"))


def conversation_of(owner: str, name: Any) -> SessionId | None:
    """The conversation `name` of an owner who is known to be that; None if it is no id."""
    return SessionId(owner, name) if _is_token(name) else None


def to_text(session: SessionId, username: str | None) -> str:
    """The conversation's id for programs; who signed in needs no owner in it."""
    return session.conversation if username else ".".join(session)


def from_text(text: Any, username: str | None) -> SessionId | None:
    """The session that `to_text` named, or that the browser's ids name; None if there is no such."""
    if not isinstance(text, str):
        return session_id(text, username)
    owner, _, conversation = text.rpartition(".")
    return session_id(
        {"owner": owner or user_owner(username), "conversation": conversation}, username
    )


def _is_token(part: Any) -> bool:
    return isinstance(part, str) and _ID.fullmatch(part) is not None
