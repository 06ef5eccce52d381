"""What is said of a chat template when a model is loaded."""

import pytest

from engine.loading import ASSUMED, NO_SYSTEM, NO_TEMPLATE, _tell
from engine.text.chat_template import ChatTemplate
from tests.engine.fakes import CHATML

SILENT_ABOUT_SYSTEM = CHATML.replace(
    "{% for message in messages %}", "{% for message in messages if message.role != 'system' %}"
)


@pytest.mark.parametrize(
    ("template", "prompt", "said"),
    [
        (None, None, NO_TEMPLATE),
        (ChatTemplate(CHATML, {}, "chat"), None, ASSUMED.format(name="chat")),
        (ChatTemplate(SILENT_ABOUT_SYSTEM, {}), "Be brief.", NO_SYSTEM),
        (ChatTemplate(SILENT_ABOUT_SYSTEM, {}), None, None),
        (ChatTemplate(CHATML, {}), "Be brief.", None),
    ],
)
def test_what_is_assumed_of_a_template_is_said(
    template: ChatTemplate | None,
    prompt: str | None,
    said: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _tell(template, prompt)
    assert caplog.messages == ([] if said is None else [said])
