"""How much of what is typed has been read ahead, and the sign that says so."""

from collections.abc import Callable

import pytest

from engine import SessionId
from tests.scripted import Engines, ScriptedEngine
from web import view
from web.startup import Startup
from web.turns import Drafts

ID = SessionId("owner", "conversation")


def test_the_percentage_is_of_the_most_that_was_ever_left_to_read(
    engines: Engines,
    started: Callable[[ScriptedEngine], Startup],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = engines()
    drafts = Drafts(started(engine))

    def percent(left: int, *, is_ready: bool = False) -> int:
        monkeypatch.setattr(engine, "num_uncached_tokens", lambda _: left)
        monkeypatch.setattr(engine, "is_prefilled", lambda _: is_ready)
        return drafts.percent(ID)

    assert [percent(left) for left in (0, 300, 400, 100)] == [0, 0, 0, 75]
    assert percent(0, is_ready=True) == 100
    assert percent(80) == 0, "the next draft begins anew"


@pytest.mark.parametrize(
    ("percent", "sign"),
    [(0, ">reading ahead …<"), (75, ">reading ahead … 75 %<"), (100, ">read ahead<")],
)
def test_the_sign_says_how_much_is_read(percent: int, sign: str) -> None:
    assert sign in view.draft_sign(percent, "en")
