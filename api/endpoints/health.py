"""GET /health and /readyz, for probes, as llama.cpp's server and vLLM answer them; and /metrics."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.endpoints.service import Service
from api.errors import ApiError


class Health:
    """Whether turns are taken."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def metrics(self, _request: Request) -> Response:
        """What is counted, for Prometheus."""
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(self._service.metrics.text(), media_type=kind)

    async def answer(self, _request: Request) -> JSONResponse:
        """200 once they are, 503 before, after a failure, and while the program ends."""
        try:
            engine = self._service.engine
        except ApiError as error:
            told = {"code": 503, "message": error.message, "type": "unavailable_error"}
            return JSONResponse({"error": told}, status_code=503)
        return JSONResponse({"status": "ok", "model": engine.info.name})
