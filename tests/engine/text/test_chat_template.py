"""The template's environment against that of transformers, which defines what templates mean."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ModelUnsupported, RequestError
from engine.text.chat_template import ChatTemplate, Message, read_chat_template
from tests.engine.fakes import CHATML
from tests.engine.rig import assistant, user

TALK = [
    Message("system", "Be brief."),
    user("  中文 “quotes” <tag> & \n\nlines  "),
    assistant("<think>hmm</think>\n\nYes.  "),
    user("{{ not a template }} 🙂"),
]

LLAMA2 = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
    {% set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}
    {% set messages = messages[1:] %}
{% else %}
    {% set system = '' %}
{% endif %}
{% for message in messages %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Roles must alternate.') }}
    {% endif %}
    {% if message['role'] == 'user' %}
        {{- '[INST] ' + (system if loop.first else '') + message['content'] | trim + ' [/INST]' }}
    {% else %}
        {{- ' ' + message['content'] | trim + ' ' + eos_token }}
    {% endif %}
{% endfor %}"""

TEMPLATES = {
    "chatml": CHATML,
    "llama2": LLAMA2,
    "loop controls": (
        "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
        "{{ m.content }}{% if loop.index > 2 %}{% break %}{% endif %}{% endfor %}"
    ),
    "generation": (
        "{% for m in messages %}\n  {% if m.role == 'assistant' %}\n"
        "{% generation %}{{ m.content }}{% endgeneration %}\n  {% else %}\n{{ m.content }}\n"
        "  {% endif %}\n{% endfor %}"
    ),
    "tojson": "{{ messages | tojson }}|{{ messages | tojson(indent=2) }}",
    "options": "{{ enable_thinking is defined and not enable_thinking }}{{ messages[0].content }}",
    "undefined": "{{ nothing }}{{ messages[0].nothing }}.",
    "namespace": (
        "{%- set ns = namespace(n=0) -%}\n{%- for m in messages[::-1] %}"
        "{% set ns.n = ns.n + m.content.split('</think>')[-1] | length %}{% endfor %}{{ ns.n }}"
    ),
}


def expected(template: str, messages: list[Message], **options: Any) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    conversation = [message._asdict() for message in messages]
    rendered, _ = render_jinja_template(
        conversations=[conversation],
        chat_template=template,
        add_generation_prompt=True,
        bos_token="<s>",
        eos_token="</s>",
        **options,
    )
    return str(rendered[0])


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("options", [{}, {"enable_thinking": False}])
def test_a_template_renders_as_in_transformers(name: str, options: dict[str, Any]) -> None:
    template = ChatTemplate(TEMPLATES[name], {"bos_token": "<s>", "eos_token": "</s>"})
    assert template.render(TALK, **options) == expected(TEMPLATES[name], TALK, **options)


def test_what_the_template_refuses_is_a_request_error_with_its_reason() -> None:
    template = ChatTemplate(LLAMA2, {"bos_token": "<s>"})
    with pytest.raises(RequestError, match="Roles must alternate"):
        template.render([user("one"), user("two")])


def test_a_template_cannot_reach_into_python() -> None:
    template = ChatTemplate("{{ messages.__class__.__mro__ }}", {})
    with pytest.raises(RequestError, match="unsafe"):
        template.render(TALK)


def test_a_template_cannot_change_the_messages() -> None:
    with pytest.raises(RequestError):
        ChatTemplate("{{ messages.append(1) }}", {}).render(TALK)


def test_a_broken_template_says_so_when_the_model_is_loaded() -> None:
    with pytest.raises(ModelUnsupported, match="template"):
        ChatTemplate("{% for %}", {})


def test_the_date_is_that_of_today() -> None:
    assert ChatTemplate("{{ strftime_now('%Y') }}", {}).render([]) > "2024"


@pytest.mark.parametrize(
    ("source", "can_think"),
    [
        (TEMPLATES["options"], True), (CHATML, False), ("enable_thinking", False),
        ("{% set enable_thinking = true %}{{ enable_thinking }}", False),
    ],
)  # fmt: skip
def test_a_template_that_asks_for_enable_thinking_can_think(source: str, can_think: bool) -> None:
    assert ChatTemplate(source, {}).can_think is can_think


def write(model_dir: Path, config: dict[str, Any], file: str | None = None) -> ChatTemplate | None:
    (model_dir / "tokenizer_config.json").write_text(json.dumps(config))
    if file is not None:
        (model_dir / "chat_template.jinja").write_text(file, encoding="utf-8")
    return read_chat_template(model_dir)


def test_the_file_goes_before_the_configuration(tmp_path: Path) -> None:
    template = write(tmp_path, {"chat_template": "old"}, "答 {{ messages[0].content }}")
    assert template is not None
    assert template.render([user("x")]) == "答 x"


def test_special_tokens_come_from_the_configuration_in_either_form(tmp_path: Path) -> None:
    config = {"chat_template": "{{ bos_token }}{{ eos_token }}", "bos_token": {"content": "<s>"}}
    template = write(tmp_path, config | {"eos_token": "</s>"})
    assert template is not None
    assert template.render([]) == "<s></s>"


def test_of_several_templates_the_default_is_taken(tmp_path: Path) -> None:
    named = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    template = write(tmp_path, {"chat_template": named})
    assert template is not None
    assert template.render([]) == "d"


@pytest.mark.parametrize("config", [{}, {"chat_template": ""}, {"chat_template": []}])
def test_a_base_model_has_no_template(tmp_path: Path, config: dict[str, Any]) -> None:
    assert write(tmp_path, config) is None
