"""Sockets that bring nothing, against a real uvicorn whose times are short."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.scripted.app import ScriptedApp
from web import connections
from web.connections import Rarely, patient_protocol

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def served(most: int = 100, idle_s: int = 5) -> Iterator[int]:
    """A server's port. idle_s: how long a connection may stand between two requests."""

    async def page(request: Request) -> PlainTextResponse:
        await request.body()
        return PlainTextResponse("page")

    app = Starlette(routes=[Route("/", page, methods=["GET", "POST"])])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        protocol = patient_protocol(most)
        config = uvicorn.Config(app, log_level="warning", http=protocol, timeout_keep_alive=idle_s)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        yield connection


def answers(connection: socket.socket) -> bool:
    connection.sendall(GET)
    said = b""
    while not said.endswith(b"page"):
        said += connection.recv(1000)
    return said.startswith(b"HTTP/1.1 200")


def ends(connection: socket.socket) -> bool:
    """Whether the server closes, as it does once its patience is over."""
    try:
        while connection.recv(1000):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHost:", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
     GET + b"GET / HT"],
)  # fmt: skip
def test_half_a_request_is_not_waited_for_for_ever(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.1)
    monkeypatch.setattr(connections, "BODY_S", 0.1)
    with served() as port, connected(port) as connection:
        with suppress(ConnectionError):  # it may be over before it has begun
            connection.sendall(sent)
        assert ends(connection)


def test_a_request_in_pieces_is_answered() -> None:
    with served() as port, connected(port) as connection:
        for piece in (
            b"POST / HTTP/1.1\r\nHo",
            b"st: x\r\nContent-Length: 4\r\n\r\n",
            b"ab",
            b"cd",
        ):
            connection.sendall(piece)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_beyond_the_patient_protocol_are_closed_at_once_and_told_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with served(most=2, idle_s=600) as port, connected(port) as first, connected(port) as second:
        for connection in (first, second):
            assert answers(connection)
        for _ in range(20):
            with connected(port) as refused:
                assert ends(refused)
        assert answers(first)
    assert caplog.text.count("too many connections") == 1


def test_a_line_that_comes_again_and_again_is_logged_once() -> None:
    rarely = Rarely()

    def passes(text: str, level: int = logging.WARNING) -> bool:
        return rarely.filter(logging.makeLogRecord({"msg": text, "levelno": level}))

    assert [passes(text) for text in ("full", "full", "other", "full")] == [
        True,
        False,
        True,
        False,
    ]
    accept = "socket.accept() out of system resource\nsocket: {}"
    assert [passes(accept.format(n), logging.ERROR) for n in range(3)] == [True, False, False]
    assert [passes("a bug", logging.ERROR) for _ in range(2)] == [True, True]


def test_the_real_server_has_these_limits(app: ScriptedApp) -> None:
    protocol: Any = app.server._uvicorn.config.http
    assert issubclass(protocol, connections.PatientProtocol)
    assert protocol.most_connections <= app.options.max_connections
