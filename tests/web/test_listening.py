"""Which sockets an address gets, before anything is loaded."""

import socket
from collections.abc import Iterator

import pytest

from tests.scripted.app import free_port
from web.listening import close, listen


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    """What a test opens here is closed at its end."""
    opened: list[socket.socket] = []
    yield opened
    close(opened)


def test_whoever_comes_before_the_page_is_there_waits_for_it(sockets: list[socket.socket]) -> None:
    port = free_port()
    sockets += listen("127.0.0.1", port)
    with socket.create_connection(("127.0.0.1", port)) as early:
        early.sendall(b"GET")
        taken, _ = sockets[0].accept()
        assert taken.recv(3) == b"GET"
        taken.close()


def test_a_port_is_there_again_after_the_server_has_ended(sockets: list[socket.socket]) -> None:
    port = free_port()
    first = listen("127.0.0.1", port)
    with socket.create_connection(("127.0.0.1", port)):
        first[0].accept()[0].close()
    close(first)
    sockets += listen("127.0.0.1", port)


def test_a_port_that_is_taken_is_refused(sockets: list[socket.socket]) -> None:
    port = free_port()
    sockets += listen("127.0.0.1", port)
    with pytest.raises(OSError, match="already in use"):
        listen("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(OSError, match="assign"):
        listen("192.0.2.1", 7860)
