"""What a client calls its conversation, wherever it says so.

A hint chooses between conversations that have said the same; it never stands for what was said: clients send the
same one with requests for titles and for their helpers.
"""

import json
from typing import Any

from starlette.datastructures import Headers

LONGEST = 255
_HEADERS = (
    "x-session-id",
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "x-openwebui-chat-id",
    "x-opencode-session",
    "x-session-affinity",
    "x-litellm-session-id",
)


def hint_of(fields: dict[str, Any], headers: Headers) -> str | None:
    """The conversation's name: of the body first, then of the headers.

    fields: session_id, prompt_cache_key and metadata of the body, as far as they are there.
    """
    metadata = fields.get("metadata")
    candidates = [
        fields.get("session_id"),
        fields.get("prompt_cache_key"),
        *(headers.get(name) for name in _HEADERS),
        *(_named(metadata) if isinstance(metadata, dict) else ()),
    ]
    return next((found for each in candidates if (found := _plain(each))), None)


def _named(metadata: dict[str, Any]) -> list[Any]:
    """As Claude Code has it: user_id is JSON with a session_id, or ends with `_session_ID`."""
    user = metadata.get("user_id")
    named = None
    if isinstance(user, str):
        try:
            told = json.loads(user)
            named = told.get("session_id") if isinstance(told, dict) else None
        except (ValueError, RecursionError):
            named = user.rpartition("_session_")[2] if "_session_" in user else None
    return [metadata.get("session_id"), named]


def _plain(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value.strip() if c.isprintable())[:LONGEST]
