"""Files made for one person, each fetched once, with a ticket that only their page was given.

Owns: the tickets and the route that takes them. A ticket comes in the body of a POST, so no address
names a conversation or its owner, and no file touches the disk. Does not know what is in the files.
"""

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import parse_qs, quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from web.languages import say, spoken

PATH = "/download"
_WAITING_S = 120.0
_MAX_WAITING = 8  # files in memory; of more, the oldest goes
_MAX_BODY_BYTES = 1000


@dataclass(frozen=True, slots=True)
class Download:
    """A file that waits to be fetched."""

    name: str
    media_type: str
    content: bytes
    made_at: float


class Downloads:
    """Files that wait for their tickets. Any thread may call."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Download] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, name: str, media_type: str, content: bytes) -> str:
        """Keep a file for a moment; its ticket."""
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._drop_old()
            self._waiting[ticket] = Download(name, media_type, content, time.monotonic())
            while len(self._waiting) > _MAX_WAITING:
                self._waiting.popitem(last=False)
        return ticket

    def take(self, ticket: str) -> Download | None:
        """The file of a ticket, once."""
        with self._lock:
            self._drop_old()
            return self._waiting.pop(ticket, None)

    def _drop_old(self) -> None:
        limit = time.monotonic() - _WAITING_S
        for ticket in [t for t, file in self._waiting.items() if file.made_at < limit]:
            del self._waiting[ticket]


def download_route(downloads: Downloads) -> Route:
    """POST ticket=... answers with the file."""

    async def fetch(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY_BYTES:
                return _gone(request)
        ticket = parse_qs(body.decode("latin-1")).get("ticket", [""])[0]
        file = downloads.take(ticket)
        if file is None:
            return _gone(request)
        # RFC 6266: a name of any characters goes in its encoded form.
        disposition = f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"
        headers = {"content-disposition": disposition, "cache-control": "no-store"}
        return Response(file.content, media_type=file.media_type, headers=headers)

    return Route(PATH, fetch, methods=["POST"])


def _gone(request: Request) -> Response:
    return PlainTextResponse(say(spoken(request.headers), "download_gone"), status_code=404)
