"""POST /tokenize and /detokenize, in llama.cpp's words and vLLM's at once."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from api.endpoints.service import Service, asked
from api.errors import refusal_of
from api.wire import DetokenizeRequest, TokenizeRequest
from engine.errors import EngineError


class Tokens:
    """Texts and their tokens."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def of_text(self, request: Request) -> JSONResponse:
        """The tokens of a text. Raises ApiError."""
        wanted, engine = await asked(TokenizeRequest, request), self._service.engine
        try:
            tokens = await engine.tokens(wanted.content)
        except EngineError as error:
            raise refusal_of(error, "content") from None
        limit = engine.info.context_length
        return JSONResponse({"tokens": tokens, "count": len(tokens), "max_model_len": limit})

    async def to_text(self, request: Request) -> JSONResponse:
        """The text of tokens. Raises ApiError."""
        wanted = await asked(DetokenizeRequest, request)
        try:
            text = await self._service.engine.text_of(wanted.tokens)
        except EngineError as error:
            raise refusal_of(error, "tokens") from None
        return JSONResponse({"content": text, "prompt": text})
