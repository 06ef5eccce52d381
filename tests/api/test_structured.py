"""What a reply has to keep to, and which tokens it favours, as clients ask for it."""

from typing import Any

import httpx
import pytest

from engine import Grammar
from tests.api.talking import CHAT, asked
from tests.scripted import Say
from tests.scripted.app import ScriptedApp

COMPLETIONS = "/v1/completions"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
ANY_OBJECT, OF_SCHEMA = Grammar.of_any_object(), Grammar.of_schema(SCHEMA)


@pytest.mark.parametrize(
    ("fields", "grammar"),
    [
        ({}, None),
        ({"response_format": None}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, ANY_OBJECT),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "it"}}}, ANY_OBJECT),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "it", "schema": SCHEMA},
                }
            },
            OF_SCHEMA,
        ),
        ({"structured_outputs": {"json": SCHEMA}}, OF_SCHEMA),
        ({"structured_outputs": {"regex": "a+"}}, Grammar("regex", "a+")),
        ({"structured_outputs": {"grammar": 'start: "a"'}}, Grammar("lark", 'start: "a"')),
        ({"structured_outputs": {"choice": ["a", '"']}}, Grammar("lark", 'start: "a" | "\\""')),
        ({"structured_outputs": {}}, None),
    ],
)
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_the_engine_is_told_what_the_reply_keeps_to(
    app: ScriptedApp, http: httpx.Client, path: str, fields: dict[str, Any], grammar: Grammar | None
) -> None:
    app.script.write(Say("{}"))
    body = asked("Hello") if path == CHAT else {"prompt": "Hello"}
    response = http.post(path, json=body | fields)
    assert response.status_code == 200
    (request,) = app.script.requests
    assert request.grammar == grammar


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_the_engine_is_told_which_tokens_are_favoured(
    app: ScriptedApp, http: httpx.Client, path: str
) -> None:
    app.script.write(Say("7"))
    body = asked("Hello") if path == CHAT else {"prompt": "Hello"}
    response = http.post(path, json=body | {"logit_bias": {"7": 1.5, "9": -100}})
    assert response.status_code == 200
    (request,) = app.script.requests
    assert request.params.logit_bias == ((7, 1.5), (9, -100.0))
