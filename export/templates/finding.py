"""The chat template that a checkpoint brings along, wherever it is kept there.

Owns: the places, and which of several named templates is taken (as the engine does with ready-made models,
engine/text/template_files.py). Does not know tokenizers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from export.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FOR_OTHER_ENDS = ("tool_use", "rag")  # as Command R's; a plain talk is neither


def folder_template(path: Path, config: dict[str, Any]) -> str | None:
    """That of a checkpoint's folder; config: its tokenizer_config.json. Raises ExportError."""
    file = path / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8-sig")
    for found in (
        config.get("chat_template"),
        _entry(path / "chat_template.json"),
        _entry(path / "processor_config.json"),
        {f.stem: f.read_text("utf-8-sig") for f in _additional(path)},
    ):
        if (template := _chosen(found)) is not None:
            return template
    return None


def gguf_template(get: Callable[[str], Any]) -> str | None:
    """That of a GGUF file; get: the value of one of its keys below `tokenizer.`, or None."""
    names = get("chat_templates") or []
    return _chosen(
        {"default": get("chat_template")} | {name: get(f"chat_template.{name}") for name in names}
    )


def _chosen(found: Any) -> str | None:
    """The template of an entry that is one, or holds several by name."""
    if isinstance(found, list):
        found = {entry["name"]: entry["template"] for entry in found}
    if not isinstance(found, dict):
        return str(found) if found else None
    named = {name: text for name, text in found.items() if text}
    ours = [name for name in named if name not in _FOR_OTHER_ENDS] or list(named)
    return str(named.get("default") or named[ours[0]]) if ours else None


def _entry(file: Path) -> Any:
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ExportError(f"{file} is not valid JSON ({error}); fetch it again.") from error
    return content.get("chat_template") if isinstance(content, dict) else None


def _additional(path: Path) -> list[Path]:
    """Named templates without a default one, as transformers keeps them."""
    return sorted((path / "additional_chat_templates").glob("*.jinja"))
