"""The small signs around the chat."""

import pytest

from web import view


@pytest.mark.parametrize(
    ("tokens", "said"), [(1, "Context 1 %"), (2253, "Context 55 %"), (5000, "Context 100 %")]
)
def test_the_gauge_says_how_full_the_context_is(tokens: int, said: str) -> None:
    shown = view.gauge(tokens, 4096, "en")
    assert f'aria-label="{said}"' in shown
    assert f"{tokens:,} of 4,096 tokens" in shown


def test_an_empty_conversation_has_no_gauge() -> None:
    assert view.gauge(0, 4096, "en") == ""
