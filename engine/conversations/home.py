"""What an engine has before its model: its conversations."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.conversations.journal import Journal
from engine.conversations.session import SessionTable


@dataclass(frozen=True, slots=True)
class Home:
    """The sessions, where they are kept, and how to wake the engine's thread."""

    sessions: SessionTable
    journal: Journal
    wake: Callable[[], object]
