"""The digests by which a list of messages finds the conversation that said it.

Owns: what of a message counts. What a program may send back otherwise is left out: thoughts, white space around, and
lines of a system prompt that are new with every request.
"""

import hashlib
import json
import re
from collections.abc import Sequence

from api.settings import Wish
from engine import Message
from engine.text import answer_of

# Claude Code's, in front of its system prompt.
_VOLATILE = re.compile(r"\A\s*x-anthropic-billing-header:[^\n]*\n*")


def steady(system: str) -> str:
    """The system prompt without what changes with every request, for the KV as for the digests."""
    return _VOLATILE.sub("", system)


def start_of(owner: str, wish: Wish) -> bytes:
    """What a chain begins with: whose it is, and all that stands in front of the messages."""
    options = json.dumps(wish.template_options, sort_keys=True, default=str)
    return _digest(b"", owner, wish.system or "", options)


def chain(start: bytes, messages: Sequence[Message]) -> list[bytes]:
    """The digest of each beginning of the messages: of one, of two, and so on."""
    digests, last = [], start
    for role, content in messages:
        said = answer_of(content) if role == "assistant" else content.strip()
        last = _digest(last, role, said)
        digests.append(last)
    return digests


def _digest(before: bytes, *texts: str) -> bytes:
    made = hashlib.sha256(before)
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        made.update(len(raw).to_bytes(8, "big") + raw)
    return made.digest()
