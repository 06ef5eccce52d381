"""The JSON files beside a tokenizer, each of which may be absent. Knows nothing of what they say."""

import json
from pathlib import Path
from typing import Any

from engine.errors import ModelUnsupported


def read_json(file: Path) -> dict[str, Any]:
    """The object in a file, which may begin with a byte order mark; empty without one.

    Raises ModelUnsupported.
    """
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ModelUnsupported(f"{file} is not valid JSON: {error}") from None
    return content if isinstance(content, dict) else {}
