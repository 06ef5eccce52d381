"""What an engine has before its model: its conversations, and where they are kept."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from engine.config import EngineConfig
from engine.conversations.journal import Journal
from engine.conversations.session import SessionTable
from engine.conversations.storage import open_storage
from engine.conversations.store import StoreError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Home:
    """The sessions, where they are kept, and how to wake the engine's thread."""

    sessions: SessionTable
    journal: Journal
    wake: Callable[[], object]


def open_journal(config: EngineConfig) -> Journal:
    """The conversations on disk, or only in memory where there is no disk to use.

    Raises StoreError where storage is required and there is none.
    """
    if config.data_dir is None:
        return Journal()
    try:
        store, recovery = open_storage(config.data_dir)
        return Journal(store, recovery=recovery)
    except StoreError as error:
        if config.storage == "required":
            raise
        log.warning("Conversations are kept in memory only: %s", error)
        return Journal(refusal=error)
