"""Which sockets an address gets, before anything is loaded."""

import socket
from collections.abc import Iterator

import pytest

from tests.scripted.app import free_port
from web.listening import address, close, listen


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


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port)).close()
    except OSError:
        return False
    return True


def has_ipv6() -> bool:
    try:
        close(listen("::1", free_port()))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("::1", {"::1"}),
        ("[::1]", {"::1"}),
        ("::", {"::1", "127.0.0.1"}),
        ("[::]", {"::1", "127.0.0.1"}),
        ("0.0.0.0", {"127.0.0.1"}),
        ("127.0.0.1", {"127.0.0.1"}),
        ("localhost", {"127.0.0.1"}),
    ],
)
def test_a_host_of_either_protocol_is_listened_at(
    sockets: list[socket.socket], host: str, reached: set[str]
) -> None:
    port = free_port()
    sockets += listen(host, port)
    assert {each for each in ("::1", "127.0.0.1") if answers(each, port)} >= reached
    if host != "localhost":
        assert not any(answers(each, port) for each in {"::1", "127.0.0.1"} - reached)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("example.com", "http://example.com:81"),
        ("::1", "http://[::1]:81"),
        ("[::1]", "http://[::1]:81"),
        ("fe80::1%eth0", "http://[fe80::1%25eth0]:81"),
        ("0.0.0.0", "http://localhost:81"),
        ("::", "http://localhost:81"),
    ],
)
def test_the_address_that_is_told_leads_to_the_page(host: str, url: str) -> None:
    assert address(host, 81) == url
