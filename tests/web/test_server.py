"""When the server has begun, and when it is over."""

import asyncio
import threading
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from starlette.types import Receive, Scope, Send

from tests.scripted.app import PATIENCE_S, free_port
from web.listening import listen
from web.server import Server, ServerFailed

START = {"type": "http.response.start", "status": 200, "headers": []}


class App:
    """Begins when it may; each reply streams until the server ends."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.begins, self.may_begin = threading.Event(), threading.Event()
        self.is_ending = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send(START)
            await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
            await self.is_ending.wait()
            await send({"type": "http.response.body", "body": b"ended"})
            return
        await receive()
        self.begins.set()
        await asyncio.to_thread(self.may_begin.wait, PATIENCE_S)
        outcome = "failed" if self.fails else "complete"
        await send({"type": f"lifespan.startup.{outcome}"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


Serve = Callable[[App], Server]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def serve(port: int) -> Iterator[Serve]:
    """Makes a server of an app, which ends with the test."""
    made: list[Server] = []

    def make(app: App) -> Server:
        made.append(Server(app, listen("127.0.0.1", port), app.is_ending.set))
        return made[-1]

    yield make
    for server in made:
        server.end()
        server.wait(PATIENCE_S)


def test_a_start_is_waited_for_as_long_as_it_takes(serve: Serve, port: int) -> None:
    app = App()
    server, is_up = serve(app), threading.Event()

    def start() -> None:
        server.start()
        is_up.set()

    starting = threading.Thread(target=start)
    starting.start()
    assert app.begins.wait(PATIENCE_S)
    assert not is_up.is_set()
    app.may_begin.set()
    assert is_up.wait(PATIENCE_S)
    starting.join()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}") as reply:
        assert reply.read(6) == b"begun "


def test_a_start_that_fails_is_told(serve: Serve) -> None:
    app = App(fails=True)
    app.may_begin.set()
    with pytest.raises(ServerFailed, match="could not start"):
        serve(app).start()


def test_what_streams_when_the_server_ends_says_its_last_word(serve: Serve, port: int) -> None:
    app = App()
    app.may_begin.set()
    server = serve(app)
    server.start()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}") as reply:
        assert reply.read(6) == b"begun "
        server.end()
        assert reply.read() == b"ended"
    server.wait(PATIENCE_S)
    listen("127.0.0.1", port)[0].close()
