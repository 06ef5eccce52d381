"""From the bytes of a body to a request, or to the refusal that names the field."""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from api.errors import ApiError, invalid

Asked = TypeVar("Asked", bound=BaseModel)

MAX_DEPTH = 100  # of lists and objects: all that is done with them later is recursive, and would run out of stack
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read(kind: type[Asked], body: bytes) -> Asked:
    """The request in `body`. Raises ApiError."""
    try:
        # Decoded here: json.loads would take other encodings, and halves of characters in this one.
        fields = json.loads(body.decode("utf-8-sig"), parse_constant=_number, parse_float=_number)
    except (ValueError, RecursionError):
        raise invalid("The body is no JSON; send an object.") from None
    if not isinstance(fields, dict):
        raise invalid("The body must be a JSON object.")
    if _is_deep(fields):
        raise invalid(f"The body is nested deeper than {MAX_DEPTH} levels; send a flatter one.")
    if _SURROGATE.search(body) and not _is_text(fields):
        raise invalid("The text holds half a character; remove it and try again.")
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise _refusal(error) from None


def _number(text: str) -> float:
    """A number that JSON can tell, too: neither NaN nor one that is infinite here. Raises ValueError."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no number")
    return number


def _is_deep(fields: Any) -> bool:
    layer = [fields]
    for _ in range(MAX_DEPTH):
        layer = [inner for outer in layer for inner in _inside(outer) if isinstance(inner, dict | list)]  # fmt: skip
    return bool(layer)


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


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
