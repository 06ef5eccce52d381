"""A proxy in front of the server, that writes headers as proxies do; each request has a connection of its own."""

import re
import shutil
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_HEAD_END = b"\r\n\r\n"


class Proxy(socketserver.ThreadingTCPServer):
    """host: what it writes as Host; more: headers that it adds; prefix: what it takes off the path."""

    daemon_threads = True

    def __init__(self, port: int, host: str, more: dict[str, str], prefix: str) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target, self.host, self.more, self.prefix = ("127.0.0.1", port), host, more, prefix

    @property
    def port(self) -> int:
        return int(self.server_address[1])

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
        with socket.create_connection(self.server.target) as target:
            target.sendall(self.server.rewritten(head.decode()).encode() + _HEAD_END + body)
            threading.Thread(target=self._upstream, args=(target,), daemon=True).start()
            with suppress(OSError), target.makefile("rb", 0) as reply:
                shutil.copyfileobj(reply, self.request.makefile("wb", 0))

    def _upstream(self, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := self.request.recv(65536):
                target.sendall(piece)


@contextmanager
def proxying(
    port: int, host: str, more: dict[str, str] | None = None, prefix: str = ""
) -> Iterator[Proxy]:
    with Proxy(port, host, more or {}, prefix) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
