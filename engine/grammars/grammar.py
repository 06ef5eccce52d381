"""What a reply may say, as people write it down."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from engine.config import require

MAX_SOURCE = 1 << 18  # characters; how deep rules may lie in one another hangs on it, too

Kind = Literal["json_schema", "regex", "lark"]


@dataclass(frozen=True, slots=True)
class Grammar:
    """source: a JSON schema, a regular expression, or a grammar in llguidance's form of Lark."""

    kind: Kind
    source: str

    def __post_init__(self) -> None:
        """Raise ConfigError for what cannot be one."""
        require(self.kind in ("json_schema", "regex", "lark"), "There is no such kind of grammar.")
        require(
            isinstance(self.source, str) and 0 < len(self.source) <= MAX_SOURCE,
            f"A grammar must have 1 to {MAX_SOURCE:,} characters.",
        )

    @classmethod
    def of_schema(cls, schema: dict[str, Any]) -> "Grammar":
        """JSON that a schema describes. Raises ConfigError."""
        return cls("json_schema", json.dumps(schema))

    @classmethod
    def of_any_object(cls) -> "Grammar":
        """Any JSON object."""
        return cls.of_schema({"type": "object"})
