"""Who is there to read answers: the pages that each owner has open.

Owns: how long after the last page of an owner has gone nobody is there any more. A page that is loaded
anew, or comes back after its connection was lost, is in time. For one event loop.
"""

import asyncio
from collections.abc import Callable


class Readers:
    """The open pages of all owners. left: called with an owner once none was open for `keep_s`."""

    def __init__(self, keep_s: float, left: Callable[[str], None]) -> None:
        self._keep_s, self._left = keep_s, left
        self._owners: dict[str, str] = {}  # of pages
        self._pages: dict[str, set[str]] = {}  # of owners
        self._waits: dict[str, asyncio.TimerHandle] = {}  # for owners without a page

    def come(self, page: str, owner: str) -> None:
        """The page is open, and the owner's."""
        if self._owners.get(page) != owner:
            self._remove(page)
            self._owners[page] = owner
            self._pages.setdefault(owner, set()).add(page)
        if wait := self._waits.pop(owner, None):
            wait.cancel()

    def go(self, page: str) -> None:
        """The page is closed."""
        owner = self._remove(page)
        if owner is not None and owner not in self._pages:
            loop = asyncio.get_running_loop()
            self._waits[owner] = loop.call_later(self._keep_s, self._end, owner)

    def _remove(self, page: str) -> str | None:
        owner = self._owners.pop(page, None)
        if owner is not None:
            self._pages[owner].discard(page)
            if not self._pages[owner]:
                del self._pages[owner]
        return owner

    def _end(self, owner: str) -> None:
        del self._waits[owner]
        self._left(owner)
