"""From the bytes of a body to a request, or to the refusal that names the field."""

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from api.errors import ApiError, invalid

Asked = TypeVar("Asked", bound=BaseModel)

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read(kind: type[Asked], body: bytes) -> Asked:
    """The request in `body`. Raises ApiError."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("The body is no JSON; send an object.") from None
    if _SURROGATE.search(body) and not _is_text(fields):
        raise invalid("The text holds half a character; remove it and try again.")
    if not isinstance(fields, dict):
        raise invalid("The body must be a JSON object.")
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise _refusal(error) from None


def _is_text(fields: Any) -> bool:
    """Whether all characters are whole ones."""
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refusal(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field, sentence = _path(first["loc"]), first["msg"].removeprefix("Value error, ")
    return invalid(f"{field}: {sentence}", field)


def _path(loc: tuple[Any, ...]) -> str:
    """As `messages[0].content`. That a key is meant, and not what it stands for, is not said."""
    path = ""
    for step in loc:
        if step == "[key]":
            continue
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path
