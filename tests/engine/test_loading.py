"""What is said of a chat template when a model is loaded."""

import pytest

from engine.loading import _tell
from engine.text.chat_template import ChatTemplate
from tests.engine.fakes import CHATML

SILENT_ABOUT_SYSTEM = CHATML.replace(
    "{% for message in messages %}", "{% for message in messages if message.role != 'system' %}"
)


@pytest.mark.parametrize(
    ("template", "prompt", "said"),
    [
        (None, None, "no chat template: it is taken for a base model"),
        (ChatTemplate(CHATML, {}, "chat"), None, "'chat' is used"),
        (ChatTemplate(SILENT_ABOUT_SYSTEM, {}), "Be brief.", "knows no system prompts"),
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
    assert len(caplog.messages) == (said is not None)
    assert said is None or said in caplog.text
