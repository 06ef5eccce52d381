"""Who comes to the page: contexts of a browser, wiped and used again.

A new context compiles the page's scripts anew, which costs more than most tests do. What a wiped one keeps is
what a browser holds of a server's files, and nothing of a visitor.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Error, Page

from tests.browser.page import PATIENCE_S

RESTING_PLACE = "/static/img/logo.svg"
WIPED_WITHIN_MS = 5_000
_OURS = re.compile(r"http://(127\.0\.0\.1|localhost):\d+/|data:|blob:")


@dataclass
class Seat:
    """A context, which one visitor has at a time. origins: where its pages have been since it was wiped."""

    context: BrowserContext
    origins: set[str] = field(default_factory=set)

    def wipe(self) -> None:
        """Forget who was here. Raises Error where the server has gone.

        One page stays, at a place without scripts: the process lives as long, and with it what is compiled.
        """
        self.context.set_offline(False)
        rests, *others = self.context.pages
        for page in others:
            page.close()
        if self.origins and not rests.url.endswith(RESTING_PLACE):
            rests.goto(min(self.origins) + RESTING_PLACE, timeout=WIPED_WITHIN_MS)
        session = self.context.new_cdp_session(rests)
        for origin in self.origins:
            session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        session.detach()
        self.context.clear_cookies()
        self.context.clear_permissions()
        self.origins.clear()


@dataclass
class Visitors:
    """Gives each visitor of a test a seat of its own. strayed: what was asked of other machines."""

    browser: Browser
    strayed: list[str] = field(default_factory=list)
    _free: defaultdict[str, list[Seat]] = field(default_factory=lambda: defaultdict(list))
    _taken: list[tuple[str, Seat]] = field(default_factory=list)

    def come(self, address: str | None = None, language: str = "en-US", **options: Any) -> Page:
        """The page of somebody whom no server knows. options: of the browser's context."""
        kind = repr((language, sorted(options.items())))
        seat = self._free[kind].pop() if self._free[kind] else self._new(locale=language, **options)
        self._taken.append((kind, seat))
        page = seat.context.new_page()
        if address is not None:
            page.goto(address)
        return page

    def leave(self) -> None:
        """All go."""
        for kind, seat in self._taken:
            try:
                seat.wipe()
            except Error:
                seat.context.close()
            else:
                self._free[kind].append(seat)
        self._taken.clear()

    def _new(self, **options: Any) -> Seat:
        seat = Seat(self.browser.new_context(**options))
        seat.context.set_default_timeout(PATIENCE_S * 1000)
        seat.context.on("request", lambda request: self._see(seat, request.url))
        return seat

    def _see(self, seat: Seat, url: str) -> None:
        if not _OURS.match(url):
            self.strayed.append(url)
        elif url.startswith("http"):
            place = urlsplit(url)
            seat.origins.add(f"{place.scheme}://{place.netloc}")
