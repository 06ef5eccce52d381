"""GET /health and /readyz, for probes; as llama.cpp's server and vLLM answer them."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from api.endpoints.service import Service
from api.errors import ApiError


class Health:
    """Whether turns are taken."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, _request: Request) -> JSONResponse:
        """200 once they are, 503 before, after a failure, and while the program ends."""
        try:
            engine = self._service.engine
        except ApiError as error:
            told = {"code": 503, "message": error.message, "type": "unavailable_error"}
            return JSONResponse({"error": told}, status_code=503)
        return JSONResponse({"status": "ok", "model": engine.info.name})
