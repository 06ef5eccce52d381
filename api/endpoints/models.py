"""GET /v1/models: the one model that is served. Whatever a request calls it, it is this one."""

import time

from starlette.requests import Request
from starlette.responses import JSONResponse

from api.endpoints.service import Service
from api.errors import ApiError


class Models:
    """The list of models, and one of them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._since = int(time.time())

    async def all(self, _request: Request) -> JSONResponse:
        """The list."""
        return JSONResponse({"object": "list", "data": [self._model()]})

    async def one(self, request: Request) -> JSONResponse:
        """A model by its id. Raises ApiError."""
        if request.path_params["model"] != (model := self._model())["id"]:
            raise ApiError(404, f"There is one model here: {model['id']}.", code="model_not_found")
        return JSONResponse(model)

    def _model(self) -> dict[str, object]:
        info = self._service.engine.info
        return {
            "id": info.name,
            "object": "model",
            "created": self._since,
            "owned_by": "warmchat",
            "max_model_len": info.context_length,
        }
