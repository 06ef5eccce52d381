"""What is being typed, prefilled before it is sent.

Owns: how often a draft is taken, and how much of it was without KV when it began. Does not know
Gradio, or what a page shows of it.
"""

import asyncio
import logging

from engine import Engine, SessionId
from engine.errors import EngineError, SessionNotFound
from web.startup import Startup
from web.turns.live_turn import template_options

log = logging.getLogger(__name__)

INTERVAL_S = 0.4  # the next draft of a page is not taken before


class Drafts:
    """The drafts of all pages."""

    def __init__(self, startup: Startup) -> None:
        self._startup = startup
        self._unread: dict[SessionId, int] = {}  # tokens without KV when a draft began

    async def take(
        self, session_id: SessionId, text: str, system: str | None, thinking: bool
    ) -> None:
        """Somebody is typing `text`; what is certain of it is prefilled while nobody waits."""
        if (engine := self._engine()) is None:
            return
        try:
            await engine.find_session(session_id)
            engine.draft(session_id, text, system=system, **template_options(engine, thinking))
        except EngineError as error:
            log.info("A draft is not prefilled: %s", error)
            return
        await asyncio.sleep(INTERVAL_S)

    def percent(self, session_id: SessionId) -> int:
        """How much of what the last drafts brought has its KV."""
        if (engine := self._engine()) is None:
            return 0
        try:
            is_ready, left = engine.is_prefilled(session_id), engine.num_uncached_tokens(session_id)
        except SessionNotFound:
            return 0
        if is_ready:
            self._unread.pop(session_id, None)
            return 100
        most = self._unread[session_id] = max(left, self._unread.get(session_id, 0))
        return 100 * (most - left) // most if left else 0

    def _engine(self) -> Engine | None:
        return self._startup.engine if self._startup.phase == "ready" else None
