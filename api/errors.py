"""Refusals as OpenAI's API writes them: a status, and `{"error": {message, type, param, code}}`.

Owns: which of the engine's errors is which status. What a client should try again is 429 or 503, which
clients do by themselves; what it should write otherwise is 400.
"""

from typing import Any

from engine.conversations import StoreError
from engine.errors import (
    ConfigError,
    EngineClosed,
    EngineError,
    GrammarRefused,
    MessageTooLong,
    QueueFull,
    RequestError,
    SessionBusy,
)

RETRY_AFTER_S = 2
_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ANTHROPIC_KINDS = {413: "request_too_large", 500: "api_error", 503: "overloaded_error"}


class ApiError(Exception):
    """A request that is refused. message: a sentence; param: the field that is wrong."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def kind(self) -> str:
        """The error's `type`."""
        fallback = "server_error" if self.status >= 500 else "invalid_request_error"
        return _KINDS.get(self.status, fallback)

    @property
    def content(self) -> dict[str, Any]:
        """What a response, or a chunk of a stream, says."""
        error = {"message": self.message, "type": self.kind, "param": self.param}
        return {"error": error | {"code": self.code}}

    @property
    def blocks(self) -> dict[str, Any]:
        """The same in Anthropic's words."""
        kind = _ANTHROPIC_KINDS.get(self.status, self.kind)
        return {"type": "error", "error": {"type": kind, "message": self.message}}

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


def invalid(message: str, param: str | None = None) -> ApiError:
    """A field that cannot be."""
    return ApiError(400, message, param=param, code="invalid_value")


def refusal_of(error: EngineError, param: str = "messages") -> ApiError:
    """The engine's error as a response. param: the field that holds what was said."""
    if isinstance(error, QueueFull | SessionBusy):
        return ApiError(429, str(error), code="rate_limit_exceeded", retry_after_s=RETRY_AFTER_S)
    if isinstance(error, MessageTooLong):
        return ApiError(400, str(error), param=param, code="context_length_exceeded")
    if isinstance(error, GrammarRefused):
        return invalid(str(error), "response_format")
    if isinstance(error, RequestError | ConfigError):
        return invalid(str(error), param)
    if isinstance(error, EngineClosed | StoreError):
        return ApiError(503, str(error), code="unavailable", retry_after_s=RETRY_AFTER_S)
    return ApiError(500, str(error), code="server_error")
