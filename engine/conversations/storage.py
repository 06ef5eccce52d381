"""Where conversations are kept, and how well.

Owns: what people are told of it. Does not know: sessions, who writes.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from engine.conversations.recovery import Recovery, open_store
from engine.conversations.store import Store, StoreError, Trouble
from engine.conversations.store_database import SENTENCES

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Storage:
    """How well what is said is kept.

    trouble: why it is not stored now, and `sentence` the same for people; None if it is. is_lasting:
    until the program starts again it is kept in memory only; else it is tried again until it is stored.
    recovery: what was read of a database that was damaged at the start.
    """

    trouble: Trouble | None
    sentence: str
    is_lasting: bool
    recovery: Recovery | None


def open_storage(data_dir: Path) -> tuple[Store, Recovery | None]:
    """The store in a folder, which is made; of a damaged one what can be read. Raises StoreError."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return open_store(data_dir / "warmchat.db")
    except OSError as error:
        log.warning("%s: %s", data_dir, error.strerror)
        raise StoreError(SENTENCES[Trouble.UNOPENABLE], Trouble.UNOPENABLE) from error
