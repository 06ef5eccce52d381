"""The API as one ASGI application: its paths, behind its gate."""

from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.endpoints import Chat, Completions, Health, Messages, Models, Responses, Service, Tokens
from api.errors import ApiError, refusal_of
from api.gate import Access, Gate, refused
from api.limits import Limits
from api.metrics import Metrics
from api.notes import notes_of
from api.program import Program
from api.talks import KEPT_S, Talks
from engine import SamplingParams
from engine.errors import EngineError


class Api:
    """Serves its own paths, and leaves the others to `app`, the page. As middleware of Starlette's.

    sampling: how replies are sampled where a request does not say. kept_s: for how long a conversation is
    kept that nobody goes on with.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        program: Program,
        access: Access,
        sampling: SamplingParams,
        kept_s: float = KEPT_S,
        limits: Limits | None = None,
    ) -> None:
        self._others = app
        metrics = Metrics(program)
        self._routes = _routes(
            Service(program, sampling, Talks(kept_s), limits or Limits(), metrics)
        )
        self._known = {route.path for route in self._routes}
        refusals = {
            ApiError: _refused,
            EngineError: _by_engine,
            404: _not_found,
            405: _no_method,
            500: _failed,
        }
        inner = Starlette(routes=self._routes, exception_handlers=refusals)

        def told(path: str, status: int, seconds: float, code: str | None) -> None:
            metrics.answered(path, status, seconds)
            if code is not None:
                metrics.refused(code)

        self._own = Gate(inner, access, told)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        is_own = scope["type"] == "http" and self._serves(get_route_path(scope))
        await (self._own if is_own else self._others)(scope, receive, send)

    def _serves(self, path: str) -> bool:
        return path in self._known or path.startswith("/v1/")


def _routes(service: Service) -> list[Route]:
    models, tokens, health = Models(service), Tokens(service), Health(service)
    messages, responses = Messages(service), Responses(service)
    return [
        Route("/v1/models", models.all, methods=["GET"]),
        Route("/v1/models/{model:path}", models.one, methods=["GET"]),
        Route("/v1/chat/completions", Chat(service).answer, methods=["POST"]),
        Route("/v1/messages", messages.answer, methods=["POST"]),
        Route("/v1/messages/count_tokens", messages.count, methods=["POST"]),
        Route("/v1/responses", responses.answer, methods=["POST"]),
        Route("/v1/responses/{id}", responses.one, methods=["GET"]),
        Route("/v1/completions", Completions(service).answer, methods=["POST"]),
        Route("/tokenize", tokens.of_text, methods=["POST"]),
        Route("/detokenize", tokens.to_text, methods=["POST"]),
        Route("/health", health.answer, methods=["GET"]),
        Route("/metrics", health.metrics, methods=["GET"]),
        Route("/readyz", health.answer, methods=["GET"]),
    ]


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    notes_of(request.scope).code = error.code
    return _said(request, error)


async def _by_engine(request: Request, error: Exception) -> Response:
    assert isinstance(error, EngineError)
    return await _refused(request, refusal_of(error))


async def _failed(request: Request, _error: Exception) -> Response:
    return _said(request, ApiError(500, "Something went wrong here; the server's log says what."))


async def _not_found(request: Request, _error: Exception) -> Response:
    return _said(request, ApiError(404, f"There is no {request.url.path} here.", code="not_found"))


async def _no_method(request: Request, _error: Exception) -> Response:
    sentence = f"{request.method} is not possible at {request.url.path}."
    return _said(request, ApiError(405, sentence, code="method_not_allowed"))


def _said(request: Request, error: ApiError) -> Response:
    return refused(error, get_route_path(request.scope))
