"""What the buttons of the list of conversations do to the engine's library.

Owns: which list each page shows. Clicks come from sidebars.js as (act, id, text) and are checked here.
Does not know Gradio, the chat itself, or how the list looks (web.view.shelf).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import Engine, SessionId
from engine.conversations import ConversationRow
from web import identity

_PAGES_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Click:
    """A button of the list that was clicked, on which conversation. text: a new name."""

    act: str
    session_id: SessionId
    text: str = ""


class Shelves:
    """What list each page shows, so that one which has not changed is not sent again."""

    def __init__(self) -> None:
        self._shown: OrderedDict[str, tuple[Any, ...]] = OrderedDict()

    def remember(
        self, page: str, rows: Sequence[ConversationRow], current: str, deleted: str | None
    ) -> None:
        """The page shows these rows now; the oldest of very many pages is forgotten."""
        self._shown[page] = deleted, current, tuple(row[:3] for row in rows)
        self._shown.move_to_end(page)
        if len(self._shown) > _PAGES_REMEMBERED:
            self._shown.popitem(last=False)

    def shown(self, page: str) -> tuple[Any, ...] | None:
        """Something that is different whenever the page's list is."""
        return self._shown.get(page)

    def current(self, page: str) -> str | None:
        """The conversation that the page has open."""
        return self._shown[page][1] if page in self._shown else None

    def deleted(self, page: str) -> str | None:
        """The conversation that the page offers to bring back."""
        return self._shown[page][0] if page in self._shown else None


def read_click(owner: str, act: Any, name: Any, text: Any = "") -> Click | None:
    """The click that the browser says there was; None if it makes no sense."""
    session_id = identity.conversation_of(owner, name)
    if session_id is None or not isinstance(act, str) or not isinstance(text, str):
        return None
    return Click(act, session_id, text)


def apply(engine: Engine, click: Click) -> None:
    """Do what the click says to the library. Raises StoreError."""
    library, session_id = engine.library, click.session_id
    match click.act:
        case "pin" | "unpin":
            library.pin(session_id, click.act == "pin")
        case "rename" if click.text.strip():
            library.rename(session_id, click.text)
        case "delete":
            library.delete(session_id)
        case "undelete":
            library.restore_deleted(session_id)
