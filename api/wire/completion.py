"""The body of POST /v1/completions."""

from typing import Any

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from api.wire.structured import Structured


class CompletionRequest(Structured):
    """A text to go on with, without a template. prompt: the text, or its tokens."""

    prompt: str | tuple[int, ...]
    echo: bool | None = False
    suffix: str | None = None

    @field_validator("prompt", mode="before")
    @classmethod
    def _one_prompt(cls, value: Any) -> Any:
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | list):
            value = value[0]
        is_tokens = isinstance(value, list) and all(type(item) is int for item in value)
        if not isinstance(value, str) and not is_tokens:
            raise PydanticCustomError("prompt", "It must be one text, or the tokens of one.")
        return tuple(value) if is_tokens else value

    @field_validator("suffix")
    @classmethod
    def _no_suffix(cls, value: str | None) -> str | None:
        if value:
            raise PydanticCustomError("suffix", "Texts are not filled in; leave it out.")
        return value
