"""Where the page is: the sockets that people reach it by, and what is told of them.

Owns: from a host and a port to sockets that listen. They do so before anything is loaded: a port that
is taken is known at once, and whoever comes early waits for the page. Does not know what is served.
"""

import errno
import socket
from typing import Any

_BACKLOG = 2048  # connections that wait to be taken
_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def listen(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of `host`. Raises OSError if nobody can listen there.

    An IPv6 address may stand in brackets; `::` is every address of this machine, those of IPv4 too. A
    name may have addresses that this machine does not have, as `localhost` one of IPv6; another is enough.
    """
    sockets: list[socket.socket] = []
    refusal: OSError | None = None
    try:
        for family, place in _places(_bare(host), port):
            try:
                sockets.append(_listen_at(family, place))
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


def close(sockets: list[socket.socket]) -> None:
    """Listen no more."""
    for each in sockets:
        each.close()


def near(host: str) -> str:
    """The name by which this machine itself finds what listens at `host`."""
    return "localhost" if _bare(host) in _EVERYWHERE else _bare(host)


def authority(host: str, port: int) -> str:
    """As it stands in a URL (RFC 3986 and, for an interface's name, RFC 6874)."""
    name = _bare(host)
    return f"[{name.replace('%', '%25')}]:{port}" if ":" in name else f"{name}:{port}"


def address(host: str, port: int) -> str:
    """The URL at which a browser on this machine finds it."""
    return f"http://{authority(near(host), port)}"


def _bare(host: str) -> str:
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _places(host: str, port: int) -> set[tuple[int, Any]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return {(family, place) for family, _, _, _, place in found}


def _listen_at(family: int, place: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            is_everywhere = place[0] in _EVERYWHERE
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not is_everywhere)
        listener.bind(place)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
