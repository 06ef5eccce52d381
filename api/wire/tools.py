"""What clients say of tools, none of which is called yet."""

from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def _uncalled(value: Any) -> Any:
    kind = value.get("type") if isinstance(value, dict) else value  # Anthropic's is an object
    if kind not in (None, "none", "auto"):
        raise PydanticCustomError("unsupported", "Tools are not called; leave it out.")
    return value


ToolChoice = Annotated[Any, AfterValidator(_uncalled)]
