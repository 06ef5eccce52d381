"""Requests that a proxy brings: who asked, by which name, protocol and path, as the proxy says it.

Owns: whose word counts, and the prefix below which the page is shown. Behind it a request looks as if it had come directly: Host, scheme and client are the
visitor's, and no X-Forwarded header is left for anybody else to believe. X-Forwarded-For and -Proto
are read by uvicorn's own middleware. Plain ASGI.
"""

import ipaddress
import logging
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import NAMED

log = logging.getLogger(__name__)

_PORTS = {"http": "80", "https": "443"}
_HEADERS = tuple(f"x-forwarded-{name}" for name in ("for", "host", "port", "proto"))


class Forwarding:
    """trusted: addresses and networks of proxies, or "*" for everybody."""

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        self._app = app
        inner: Any = self._as_the_proxy_says
        self._proxied = ProxyHeadersMiddleware(inner, list(trusted))
        self._warned: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer, port = scope.get("client") or ("", 0)
        peer = _plain(peer)
        scope["client"] = (peer, port)
        if peer in self._proxied.trusted_hosts:
            await self._proxied(scope, receive, send)  # type: ignore[arg-type]
        else:
            self._warn(peer, Headers(scope=scope))
            await self._app(_without_words(scope), receive, send)

    async def _as_the_proxy_says(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = Headers(scope=scope).get("host", "")
        host = forwarded_host(Headers(scope=scope), scope["scheme"])
        scope = _without_words(scope)
        if host is not None:
            scope[NAMED] = named
            MutableHeaders(scope=scope)["host"] = host
        await self._app(scope, receive, send)

    def _warn(self, peer: str, headers: Headers) -> None:
        """Once for each proxy, and for a few: anybody may say that they are one."""
        if peer in self._warned or len(self._warned) > 9 or "x-forwarded-proto" not in headers:
            return
        self._warned.add(peer)
        log.warning(
            "%s brings requests of others, but is not trusted, so its X-Forwarded headers do not count. "
            "If it is your proxy, start with --trusted-proxies %s.",
            peer,
            peer,
        )


class Prefix:
    """What is shown below `root_path`, whether the proxy takes it off the path or leaves it there."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        root_path = self._root_path
        if scope["type"] != "http" or not root_path:
            await self._app(scope, receive, send)
        elif scope["path"] == root_path:  # links of the page count from the slash on
            await RedirectResponse(f"{root_path}/")(scope, receive, send)
        else:
            path = scope["path"].removeprefix(root_path if self._is_below(scope) else "")
            placed = {"root_path": root_path, "path": root_path + path}
            await self._app({**scope, **placed}, receive, send)

    def _is_below(self, scope: Scope) -> bool:
        return bool(scope["path"].startswith(f"{self._root_path}/"))


def forwarded_host(headers: Headers, scheme: str) -> str | None:
    """The Host that the visitor asked for, as the first of several proxies heard it; None: not said."""
    host = _first(headers.get("x-forwarded-host"))
    if not host:
        return None
    port = _first(headers.get("x-forwarded-port"))
    has_port = host.rpartition(":")[1] and not host.endswith("]")
    if has_port or not port.isdigit() or port == _PORTS.get(scheme):
        return host
    return f"{host}:{port}"


def _first(value: str | None) -> str:
    return (value or "").partition(",")[0].strip()


def _plain(peer: str) -> str:
    """An IPv4 address as such, where a socket of IPv6 took it."""
    try:
        mapped = ipaddress.IPv6Address(peer).ipv4_mapped
    except ValueError:
        return peer
    return str(mapped) if mapped is not None else peer


def _without_words(scope: Scope) -> Scope:
    headers = [item for item in scope["headers"] if item[0].decode("latin-1") not in _HEADERS]
    return {**scope, "headers": headers}
