"""A SOCKS5 proxy (RFC 1928) that brings everybody to one port of this machine, whatever host they ask for."""

from __future__ import annotations

import shutil
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy(socketserver.ThreadingTCPServer):
    """asked: the names of the hosts."""

    daemon_threads = True

    def __init__(self, target_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target_port = target_port
        self.asked: set[bytes] = set()


class _Connection(socketserver.StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        _, methods = self.rfile.read(2)
        self.rfile.read(methods)
        self.wfile.write(b"\x05\x00")  # without a password
        *_, kind, length = self.rfile.read(5)
        assert kind == 3, "not a name"
        self.server.asked.add(self.rfile.read(length))
        self.rfile.read(2)
        with socket.create_connection(("127.0.0.1", self.server.target_port)) as target:
            self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
            threading.Thread(target=self._upstream, args=(target,), daemon=True).start()
            with target.makefile("rb", buffering=0) as replies, suppress(OSError):
                shutil.copyfileobj(replies, self.wfile)

    def _upstream(self, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := self.connection.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def socks_proxy(target_port: int) -> Iterator[Proxy]:
    with Proxy(target_port) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
