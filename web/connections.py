"""Connections that bring nothing: how long they may, and how many there are.

Owns: the limits of uvicorn's HTTP connections that it has no settings for. A connection is closed when its request's
head takes too long or its body stands still; beyond the limit it is closed at once, which is logged rarely.
"""

import asyncio
import contextlib
import logging
import time

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S, BODY_S = 20.0, 60.0
_RESERVE = 128  # descriptors for files, the database and programs
_WANTED_DESCRIPTORS = 65_536
_RARELY_S = 60.0
_OUT_OF_DESCRIPTORS = (
    "socket.accept()"  # as asyncio says it, with a traceback, each second and more
)

log = logging.getLogger(__name__)


class PatientProtocol(H11Protocol):
    """HTTP/1.1 of a client that has so long for each part of its request."""

    most_connections = 1000
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            log.warning("There are too many connections; new ones are closed (--max-connections).")
            transport.abort()
            return
        self._deadline = self.loop.call_later(HEAD_S, self._close)

    def data_received(self, data: bytes) -> None:
        """Go on with the request; its body's clock begins anew, its head's does not."""
        super().data_received(data)
        if not self._is_answering:
            self._deadline = self._deadline or self.loop.call_later(HEAD_S, self._close)
            return
        self._stop_clock()
        if self.cycle.more_body:
            self._deadline = self.loop.call_later(BODY_S, self._close)

    def on_response_complete(self) -> None:
        """From here on uvicorn's own time for an idle connection counts."""
        self._stop_clock()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_clock()
        super().connection_lost(exc)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()


class Rarely(logging.Filter):
    """Lets a line about refusals through once a minute, so that they fill no disk; errors always."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is the first of its kind for a while."""
        now = time.monotonic()
        key = str(record.msg).partition("\n")[0]
        if record.levelno > logging.WARNING and not key.startswith(_OUT_OF_DESCRIPTORS):
            return True
        if now - self._last.get(key, -_RARELY_S) < _RARELY_S:
            return False
        self._last = {k: at for k, at in self._last.items() if now - at < _RARELY_S} | {key: now}
        return True


_RARELY = Rarely()


def patient_protocol(most: int) -> type[H11Protocol]:
    """What uvicorn is to speak HTTP with. most: connections at once."""
    limited = min(most, max(_descriptors() - _RESERVE, 16))
    for logger in (log, logging.getLogger("asyncio"), logging.getLogger("uvicorn.error")):
        logger.addFilter(_RARELY)
    return type("LimitedProtocol", (PatientProtocol,), {"most_connections": limited})


def _descriptors() -> int:
    """How many files and connections this process may have open, raised as far as it may."""
    try:
        import resource  # noqa: PLC0415  (not on Windows)
    except ImportError:
        return _WANTED_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = (
        _WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _WANTED_DESCRIPTORS)
    )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft
