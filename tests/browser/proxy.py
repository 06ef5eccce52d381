"""A proxy in front of the server, that writes headers as proxies do; each request has a connection of its own."""

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_HEAD_END = b"\r\n\r\n"
_STREAM_END = b'data: {"msg":"close_stream"'
_ANSWERED, _LATER = "answered", 2
_PATIENCE_S = 60.0


class Proxy(socketserver.ThreadingTCPServer):
    """host: what it writes as Host; more: headers that it adds; prefix: what it takes off the path.

    is_late: the end of a stream of events overtakes no answer: it is passed on behind that of the next event.
    """

    daemon_threads = True

    def __init__(
        self, port: int, host: str, more: dict[str, str], prefix: str, is_late: bool
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target, self.host, self.more, self.prefix = ("127.0.0.1", port), host, more, prefix
        self.is_late = is_late
        self._seen: list[str] = []  # the paths of requests, and the answers to events
        self._more = threading.Condition()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def note(self, path: str) -> None:
        with self._more:
            self._seen.append(path)
            self._more.notify_all()

    def wait_for_join(self) -> None:
        """Until another event has its answer, and the page has gone on from there."""
        with self._more:
            before = len(self._seen)
            self._more.wait_for(lambda: self._has_gone_on(self._seen[before:]), _PATIENCE_S)

    @staticmethod
    def _has_gone_on(seen: list[str]) -> bool:
        return _ANSWERED in seen and len(seen) - seen.index(_ANSWERED) > _LATER

    def rewritten(self, head: str) -> str:
        first, *lines = head.split("\r\n")
        first = first.replace(f" {self.prefix}/", " /", 1)
        # Browsers leave Sec-Fetch out on plain http, but not where the host is this machine.
        kept = [
            line for line in lines if not re.match(r"(?i)(host|connection|sec-fetch-.*):", line)
        ]
        more = {"Host": self.host, "Connection": "close", **self.more}
        added = [f"{name}: {value.format(port=self.port)}" for name, value in more.items()]
        return "\r\n".join([first, *kept, *added])


class _Connection(socketserver.BaseRequestHandler):
    server: Proxy
    request: socket.socket

    def handle(self) -> None:
        head = b""
        while _HEAD_END not in head:
            if not (piece := self.request.recv(65536)):
                return
            head += piece
        head, _, body = head.partition(_HEAD_END)
        self.server.note(head.decode().split()[1])
        with socket.create_connection(self.server.target) as target:
            target.sendall(self.server.rewritten(head.decode()).encode() + _HEAD_END + body)
            threading.Thread(target=self._upstream, args=(target,), daemon=True).start()
            with suppress(OSError):
                self._downstream(head, target)

    def _downstream(self, head: bytes, reply: socket.socket) -> None:
        if self.server.is_late and b"/queue/data" in head:
            while piece := reply.recv(65536):
                at = piece.find(_STREAM_END)
                if at >= 0:
                    self.request.sendall(piece[:at])
                    self.server.wait_for_join()
                self.request.sendall(piece[max(at, 0) :])
            return
        while piece := reply.recv(65536):
            self.request.sendall(piece)
        if b"/queue/join" in head:
            self.server.note(_ANSWERED)

    def _upstream(self, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := self.request.recv(65536):
                target.sendall(piece)


@contextmanager
def proxying(
    port: int,
    host: str,
    more: dict[str, str] | None = None,
    prefix: str = "",
    is_late: bool = False,
) -> Iterator[Proxy]:
    with Proxy(port, host, more or {}, prefix, is_late) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
