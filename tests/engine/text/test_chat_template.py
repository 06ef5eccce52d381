"""The template's environment against that of transformers, which defines what templates mean."""

from typing import Any

import pytest

from engine.errors import ModelUnsupported, RequestError
from engine.text.chat_template import ChatTemplate, Message
from engine.text.rendering import Setting
from tests import ROOT
from tests.engine.fakes import CHATML
from tests.engine.rig import assistant, make_rig, user

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


# As in the world, but for those that print the date, which may change between two calls.
FAMILIES = {
    file.stem: source
    for file in sorted((ROOT / "tests" / "templates").glob("*.jinja"))
    if "strftime_now" not in (source := file.read_text("utf-8"))
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


@pytest.mark.parametrize("name", [*TEMPLATES, *FAMILIES])
@pytest.mark.parametrize("options", [{}, {"enable_thinking": False}])
def test_a_template_renders_as_in_transformers(name: str, options: dict[str, Any]) -> None:
    source = (TEMPLATES | FAMILIES)[name]
    template = ChatTemplate(source, {"bos_token": "<s>", "eos_token": "</s>"})
    talk = TALK if template.knows_system else TALK[1:]
    assert template.render(talk, **options) == expected(source, talk, **options)


def test_what_the_template_refuses_is_a_request_error_with_its_reason() -> None:
    template = ChatTemplate(LLAMA2, {"bos_token": "<s>"})
    with pytest.raises(RequestError, match="Roles must alternate"):
        template.render([user("one"), user("two")])


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages[0].tool_calls | tojson }}", "{{ 1 + 'a' }}", "{{ 1 / 0 }}", "{{ '%d' % 'x' }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{{ strftime_now(3) }}",
        "{% for x in range(10 ** 8) %}{% endfor %}",
    ],
)  # fmt: skip
def test_whatever_goes_wrong_in_a_template_is_a_sentence_about_the_template(source: str) -> None:
    with pytest.raises(
        RequestError, match=r"chat template fails here: \w+: .*--chat-template FILE"
    ):
        ChatTemplate(source, {}).render([user("Hi")])


UNGUARDED = (
    "{% if tools is not none %}Tools:{% endif %}{% if documents is not none %}Documents:{% endif %}"
)


def test_a_conversation_has_no_tools_and_no_documents_not_even_undefined_ones() -> None:
    assert ChatTemplate(UNGUARDED, {}).render([user("Hi")]) == expected(UNGUARDED, [user("Hi")])
    assert ChatTemplate(UNGUARDED, {}).render([user("Hi")]) == ""


NO_SYSTEM = {
    "refused": "{% if messages[0].role == 'system' %}{{ raise_exception('No system') }}{% endif %}",
    "dropped": "",
    "dropped later": "{% if messages[0].role == 'system' and messages | length < 3 %}"
    "{{ messages[0].content }}{% endif %}",
}  # fmt: skip
TALKING = (
    "{% for m in messages %}{% if m.role == 'user' %}[{{ m.content }}]"
    "{% elif m.role == 'assistant' %}{{ m.content }}.{% endif %}{% endfor %}"
)


@pytest.mark.parametrize("start", NO_SYSTEM.values(), ids=NO_SYSTEM)
def test_a_system_prompt_that_a_template_does_not_know_is_in_front_of_the_first_question(
    start: str,
) -> None:
    template = ChatTemplate(start + TALKING, {})
    assert not template.knows_system
    first = [Message("system", "Be brief."), user("One")]
    assert template.render(first) == "[Be brief.\n\nOne]"
    more = [*first, assistant("1"), user("Two")]
    assert template.render(more) == "[Be brief.\n\nOne]1.[Two]"
    assert template.render(more[1:]) == "[One]1.[Two]"


@pytest.mark.parametrize("source", [CHATML, LLAMA2, "no messages at all"])
def test_a_system_prompt_that_a_template_knows_stays_where_it_puts_it(source: str) -> None:
    assert ChatTemplate(source, {}).knows_system


def test_a_template_of_a_model_that_sees_images_gets_parts_of_text() -> None:
    template = ChatTemplate(
        "{% for m in messages %}{% for part in m.content %}"
        "{% if part.type == 'text' %}{{ m.role }}: {{ part.text }}\n{% endif %}{% endfor %}{% endfor %}",
        {},
    )
    assert template.render(TALK[:1]) == "system: Be brief.\n"
    assert template.knows_system


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


def test_a_template_that_fails_in_any_way_refuses_its_turn_and_harms_nobody() -> None:
    failing = CHATML.replace(
        "{% endfor %}", "{% if 'x' in message.content %}{{ 1 / 0 }}{% endif %}{% endfor %}"
    )
    rig = make_rig(template=failing)
    rig.chat("Hello")
    with pytest.raises(RequestError, match="ZeroDivisionError"):
        rig.chat("x")
    rig.core.draft(rig.session(), "x", Setting())
    rig.rest()
    assert rig.chat("Hello again").over
    rig.check()
