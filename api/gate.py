"""Who may use the API, and what stands around every request: its id, the limit of its body, refusals as JSON.

Owns: that without keys only this machine's own programs may, and no page of another site; that with keys each
has conversations of its own. Plain ASGI, so that streams pass through unbuffered. Does not know how keys are kept.
"""

import hmac
import ipaddress
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError
from api.notes import Notes, note
from api.program import NAMED, OWNER
from engine.conversations import PROGRAMS

log = logging.getLogger(__name__)

METRICS = "/metrics"
Told = Callable[[str, int, float, str | None], object]
_OPEN = {"/health", "/readyz"}  # probes bring no keys
_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
_SAME_SITE = {None, "same-origin", "none"}

NEEDS_KEY = "A key is needed here: send it as `Authorization: Bearer KEY`, or as `x-api-key`."
WRONG_KEY = "This key is not known here."
NOT_FROM_HERE = (
    "Without keys the API is for programs on this machine alone; start with --api-key-file."
)
FOREIGN = "Pages of {origin} may not use the API; --cors-origin allows them."
SIGN_IN = "Who signs in to the page needs a key for the API; start with --api-key-file."


@dataclass(frozen=True, slots=True)
class Access:
    """Who may. check_key: the name that a key belongs to, None if it is nobody's; None: there are no keys.

    asks_for_password: the page does. host: where the server listens. origins: of pages that may use
    the API, or "*". max_body_bytes: of a request. owner_of: whose conversations a key's are, by its name;
    None: its own. metrics_token: what lets programs of other machines read the metrics.
    """

    check_key: Callable[[str], Awaitable[str | None]] | None = None
    asks_for_password: bool = False
    host: str = "127.0.0.1"
    origins: Sequence[str] = ()
    max_body_bytes: int = 16 << 20
    owner_of: Callable[[str], str] | None = None
    metrics_token: str | None = None

    def allows_origin(self, origin: str | None) -> bool:
        """Whether pages of that origin may read what is answered."""
        return origin is not None and (origin in self.origins or "*" in self.origins)


class Gate:
    """Lets requests in. told: hears of each when it is over, by its path, status, seconds, and code of refusal."""

    def __init__(self, app: ASGIApp, access: Access, told: Told) -> None:
        self._app = app
        self._access = access
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers, answer = Headers(scope=scope), _Answer(scope, send, self._access)
        note(scope, answer.notes)
        try:
            await self._answered(scope, receive, headers, answer)
        finally:
            notes = answer.notes
            notes.write()
            self._told(_known_path(scope), notes.status, notes.seconds, notes.code)

    async def _answered(
        self, scope: Scope, receive: Receive, headers: Headers, answer: "_Answer"
    ) -> None:
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await _preflight(headers)(scope, receive, answer.send)
            return
        try:
            scope[OWNER] = answer.notes.owner = await self._owner(scope, headers)
            body = _Body(receive, self._access.max_body_bytes, headers)
            await self._app(scope, body.receive, answer.send)
        except ApiError as error:
            answer.notes.code = error.code
            await refused(error, get_route_path(scope))(scope, receive, answer.send)
        except ClientDisconnect:
            pass
        except Exception:
            log.exception("A request failed")

    async def _owner(self, scope: Scope, headers: Headers) -> str:
        """Whose conversations the request is about. Raises ApiError."""
        path = get_route_path(scope)
        if path in _OPEN or (path == METRICS and self._has_metrics_token(headers)):
            return PROGRAMS
        if path == METRICS:
            self._check_local(scope, headers)
            return PROGRAMS
        if self._access.check_key is not None:
            name = await self._named(self._access.check_key, headers)
            return PROGRAMS + name if self._access.owner_of is None else self._access.owner_of(name)
        if self._access.asks_for_password:
            raise ApiError(401, SIGN_IN, code="invalid_api_key")
        self._check_local(scope, headers)
        return PROGRAMS

    def _has_metrics_token(self, headers: Headers) -> bool:
        token = self._access.metrics_token
        told = headers.get("authorization", "").partition(" ")[2].strip()
        if not token:  # which is none
            return False
        return hmac.compare_digest(token.encode(), told.encode("latin-1"))

    async def _named(self, check: Callable[[str], Awaitable[str | None]], headers: Headers) -> str:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if not key:
            raise ApiError(401, NEEDS_KEY, code="invalid_api_key")
        name = await check(key)
        if name is None:
            raise ApiError(401, WRONG_KEY, code="invalid_api_key")
        return name

    def _check_local(self, scope: Scope, headers: Headers) -> None:
        """Raise ApiError unless a program of this machine asks by a name of this machine.

        A page of another site may have its own name lead here (DNS rebinding), hence the look at Host: at what
        the request came with, too, as that page can send what a proxy would.
        """
        client = scope.get("client")
        if client is not None and not _is_loopback(client[0]):
            raise ApiError(403, NOT_FROM_HERE, code="forbidden")
        host = headers.get("host", "")
        if not all(self._is_own(name) for name in (host, scope.get(NAMED, host))):
            raise ApiError(403, NOT_FROM_HERE, code="forbidden")
        origin = headers.get("origin")
        if origin in self._access.origins:  # "*" is everybody with a key
            return
        is_same = origin is None or origin.partition("://")[2] == headers.get("host")
        if not is_same or headers.get("sec-fetch-site") not in _SAME_SITE:
            raise ApiError(403, FOREIGN.format(origin=origin or "other sites"), code="forbidden")

    def _is_own(self, host: str) -> bool:
        name = _host_name(host)
        return name in _LOCAL_NAMES or name == self._access.host.strip("[]")


class _Answer:
    """Sends on, with the request's id and what lets allowed pages read it."""

    def __init__(self, scope: Scope, send: Send, access: Access) -> None:
        headers = Headers(scope=scope)
        told = headers.get("x-request-id", "")
        request_id = told if _REQUEST_ID.fullmatch(told) else f"req_{secrets.token_hex(12)}"
        self.notes = Notes(request_id, scope["method"], scope["path"])
        self.has_begun = False
        self._send = send
        origin = headers.get("origin")
        self._origin = origin if access.allows_origin(origin) else None

    async def send(self, message: Message) -> None:
        """To the client."""
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = MutableHeaders(scope=message)
            self.notes.status = message["status"]
            headers["x-request-id"] = self.notes.request_id
            headers["x-content-type-options"] = "nosniff"
            if self._origin is not None:
                headers["access-control-allow-origin"] = self._origin
                headers["access-control-expose-headers"] = "x-request-id, retry-after"
                headers.append("vary", "origin")
        await self._send(message)


class _Body:
    """A body as it comes in, up to a limit."""

    def __init__(self, receive: Receive, limit: int, headers: Headers) -> None:
        length = headers.get("content-length", "")
        self._receive = receive
        self._limit = limit
        self._num_bytes = 0
        if length.isdecimal() and int(length) > limit:
            raise self._too_large()

    async def receive(self) -> Message:
        """The next part. Raises ApiError when it is too large."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._num_bytes += len(message.get("body", b""))
            if self._num_bytes > self._limit:
                raise self._too_large()
        return message

    def _too_large(self) -> ApiError:
        limit = f"{self._limit / 2**20:g} MiB"
        return ApiError(413, f"The request is larger than {limit}.", code="request_too_large")


def refused(error: ApiError, path: str) -> Response:
    """The refusal as a response, in the words of the API that `path` is of."""
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    if error.status == 413:
        headers["connection"] = "close"
    content = error.blocks if path.startswith("/v1/messages") else error.content
    return JSONResponse(content, error.status, {**headers, **error.headers})


def _preflight(headers: Headers) -> Response:
    """The answer to a browser that asks what a page may send; without an allowed origin it is of no use."""
    told = {
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-allow-headers": headers.get("access-control-request-headers", "*"),
        "access-control-max-age": "600",
    }
    return Response(status_code=204, headers=told)


def _known_path(scope: Scope) -> str:
    """The path of a route; whatever else somebody asks for is one to the metrics."""
    route = scope.get("route")
    return str(getattr(route, "path", "other"))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
