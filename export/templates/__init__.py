"""Chat templates: where checkpoints keep theirs, and those for models that ship none.

The latter are found by model type and name. Each file is the family's published format; its source is in the first comment. A model that is
not known here is a base model: it gets no template and completes text.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from export.templates.finding import folder_template, gguf_template

__all__ = ["builtin_template", "folder_template", "gguf_template"]

_FOLDER = Path(__file__).parent
_TEMPLATES = (  # model type, name, file (None: a base model)
    ("chatglm", r"chatglm[23].*base", None),
    ("chatglm", r"chatglm3", "chatglm3.jinja"),
    ("chatglm", r"chatglm2", "chatglm2.jinja"),
    ("llama", r"llama-?2.*chat", "llama2_chat.jinja"),
)


def builtin_template(model_type: str, path: Path) -> str | None:
    """The template of a model of that type in `path`; None for a base or unknown model.

    The name is sought in the path's last parts, then in config.json and, for ChatGLM, in the
    code that the folder carries.
    """
    for name in _names(path):
        for known_type, pattern, file in _TEMPLATES:
            if known_type == model_type and re.search(pattern, name):
                return file and (_FOLDER / file).read_text(encoding="utf-8")
    return None


def _names(path: Path) -> list[str]:
    # A hub's local copy is .../models--owner--name/snapshots/revision.
    names = [*reversed(path.absolute().parts[-3:]), *_declared_names(path)]
    return [name.lower().replace("_", "-") for name in names]


def _declared_names(path: Path) -> list[str]:
    file = path / "config.json"
    names = []
    if file.is_file():
        names.append(str(json.loads(file.read_text(encoding="utf-8")).get("_name_or_path", "")))
    code = path / "tokenization_chatglm.py"
    if code.is_file():
        has_roles = "<|user|>" in code.read_text(encoding="utf-8")
        names.append("chatglm3" if has_roles else "chatglm2")
    return names
