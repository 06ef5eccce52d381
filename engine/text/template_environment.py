"""Jinja as chat templates expect it: the environment of Hugging Face's `apply_chat_template`.

Owns: the sandbox, its filters and functions, so that a template means here what it means there. Does not
know: messages, models.
"""

import json
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


def template_environment() -> ImmutableSandboxedEnvironment:
    """Sandboxed, blocks trimmed, with `raise_exception`, `tojson` and `{% generation %}`."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", _Generation],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    return environment


def variables_at(moment: datetime) -> dict[str, Any]:
    """What every template is given beside its messages, as of that moment of local time.

    A conversation has no tools or documents: None, as with `apply_chat_template`, since templates ask
    `is not none`, too.
    """
    return {"tools": None, "documents": None, "strftime_now": moment.strftime}


class _Generation(Extension):
    """`{% generation %}` marks the assistant's text for training; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012  jinja2's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)
