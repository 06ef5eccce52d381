"""More people ask at once than Gradio has threads: each is answered, told the place, or told to come later."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripted.app import PATIENCE_S, ScriptedApp, serving
from tests.storm.visitor import Asked, visiting

RUN, WAIT, COME = 4, 40, 60


@pytest.fixture
def app(tmp_path: Path) -> Iterator[ScriptedApp]:
    options = ["--max-queue", str(WAIT)]
    with serving(tmp_path, *options, max_num_sequences=RUN) as app:
        yield app


async def everybody(app: ScriptedApp) -> None:
    async with visiting(app.url, COME + 1) as (other, *visitors):
        asked = [Asked() for _ in visitors]
        asking = [
            asyncio.create_task(visitor.ask("Hello", each))
            for visitor, each in zip(visitors, asked, strict=True)
        ]
        await asyncio.gather(*(each.told.wait() for each in asked))
        told = [each for each in asked if each.outcome is None]
        assert len(told) == RUN + WAIT
        assert sorted(each.places[-1] for each in told if not each.text) == [*range(WAIT)]
        assert {each.outcome for each in asked if each not in told} == {"busy"}
        # None of them is in the way of what others do.
        first = other.ids["conversation"]
        await other.start_anew()
        await other.open(first)
        await other.reset_settings()
        assert await other.health() == 200
        app.script.reset()
        await asyncio.gather(*asking)
        assert {each.outcome for each in told} == {"answered"}
        late = Asked()
        await other.ask("And now?", late)
        assert (late.outcome, late.places) == ("answered", [])


def test_whoever_comes_is_told_at_once_and_stands_in_nobodys_way(app: ScriptedApp) -> None:
    app.script.holds = True
    asyncio.run(asyncio.wait_for(everybody(app), PATIENCE_S))
