"""What the buttons of the list of conversations do to the engine's library.

Owns: which list each page shows. Clicks come from sidebars.js as (act, id, text) and are checked here.
Does not know Gradio, the chat itself, or how the list looks (web.view.shelf).
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from engine import Engine, SessionId
from web import identity

_PAGES_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Click:
    """A button of the list that was clicked, on which conversation. text: a new name."""

    act: str
    session_id: SessionId
    text: str = ""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The list that a page shows. deleted: the conversation that it offers to bring back.

    successor: the new one that is open since then in its place, if the deleted one was open.
    """

    html: str
    current: str
    deleted: str | None = None
    successor: str | None = None


class Shelves:
    """What list each page shows, so that one which has not changed is not sent again."""

    def __init__(self) -> None:
        self._shown: OrderedDict[str, Shelf] = OrderedDict()

    def remember(self, page: str, shown: Shelf) -> None:
        """The page shows this now; the oldest of very many pages is forgotten."""
        self._shown[page] = shown
        self._shown.move_to_end(page)
        if len(self._shown) > _PAGES_REMEMBERED:
            self._shown.popitem(last=False)

    def shown(self, page: str) -> Shelf | None:
        """The page's list; None where none is known."""
        return self._shown.get(page)

    def is_missed(self, page: str, deleted: SessionId, current: SessionId) -> bool:
        """Whether the page shows nothing but a new conversation since it deleted this one."""
        shown = self.shown(page)
        since = None if shown is None or shown.deleted != deleted.conversation else shown.successor
        return current.conversation in (deleted.conversation, since)


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
