"""Options and started engines for the page's tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.fake_engine import FakeEngine
from web.options import Options, parse_options
from web.startup import Startup


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return parse_options(["--data-dir", str(tmp_path)], environ={})


@pytest.fixture
def started(options: Options) -> Callable[[FakeEngine], Startup]:
    def start(engine: FakeEngine) -> Startup:
        startup = Startup(options, lambda _options, _progress: engine.as_engine()).start()
        startup._thread.join()
        return startup

    return start
