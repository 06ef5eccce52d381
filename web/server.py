"""The HTTP server of one run, in a thread of its own.

Owns: when it has begun and when it is over. It is waited for as long as its start takes, and asks
nothing of itself over the network: neither a busy machine nor a proxy keeps it from starting. Knows
nothing of what it serves.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from web.listening import close

_GRACE_S = 1  # what still streams when the server ends is cut then


class ServerFailed(Exception):
    """The server ended before it served; the log says why."""


class Server:
    """Serves `app` at `sockets`, which it closes at its end.

    before_end: called in the event loop when the server begins to end, so that streams end by themselves.
    protocol: what speaks HTTP; None: uvicorn's own.
    """

    def __init__(
        self,
        app: ASGIApp,
        sockets: Sequence[socket.socket],
        before_end: Callable[[], None],
        protocol: type[asyncio.Protocol] | None = None,
    ) -> None:
        self.app = app
        config = uvicorn.Config(
            app,
            http=protocol or "auto",
            log_level="warning",
            timeout_graceful_shutdown=_GRACE_S,
            proxy_headers=False,
        )
        self._uvicorn = _Uvicorn(config, before_end)
        self._sockets = list(sockets)
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def start(self) -> None:
        """Begin; returns when requests are answered. Raises ServerFailed."""
        self._thread.start()
        self._uvicorn.is_settled.wait()
        if not self._uvicorn.started:
            raise ServerFailed("The server could not start; the log above says why.")

    def end(self) -> None:
        """Take no more requests, and end those that run; returns at once."""
        self._uvicorn.should_exit = True

    def wait(self, timeout_s: float) -> None:
        """Until it has ended, and about this long at most."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            with suppress(SystemExit):  # how uvicorn says that the start failed
                self._uvicorn.run(self._sockets)
        finally:
            close(self._sockets)
            self._uvicorn.is_settled.set()


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, before_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_end = before_end
        self.is_settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_settled.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_end()
        await super().shutdown(sockets)
