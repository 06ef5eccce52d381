"""Where the page is: the sockets that people reach it by, and what is told of them.

Owns: from a host and a port to sockets that listen. They do so before anything is loaded: a port that
is taken is known at once, and whoever comes early waits for the page. Does not know what is served.
"""

import errno
import socket
from typing import Any

_BACKLOG = 2048  # connections that wait to be taken
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def listen(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of `host`. Raises OSError if nobody can listen there.

    A name may have addresses that this machine does not have, as `localhost` one of IPv6; another is
    enough.
    """
    sockets: list[socket.socket] = []
    refusal: OSError | None = None
    try:
        for family, address in _addresses(host, port):
            try:
                sockets.append(_listen_at(family, address))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                refusal = error
    except OSError:
        close(sockets)
        raise
    if not sockets and refusal is not None:
        raise refusal
    return sockets


def address(host: str, port: int) -> str:
    """The URL at which a browser on this machine finds it."""
    return f"http://{host}:{port}"


def close(sockets: list[socket.socket]) -> None:
    """Listen no more."""
    for each in sockets:
        each.close()


def _addresses(host: str, port: int) -> set[tuple[int, Any]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return {(family, address) for family, _, _, _, address in found}


def _listen_at(family: int, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
