"""Options and scripted engines for the page's tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import Engine
from tests.scripted import Engines
from web.options import Options, parse_options
from web.startup import Startup


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return parse_options(["--data-dir", str(tmp_path)], environ={})


@pytest.fixture
def engines() -> Iterator[Engines]:
    """Makes scripted engines, which end with the test."""
    made = Engines()
    yield made
    made.close()


@pytest.fixture
def started(options: Options) -> Callable[[Engine], Startup]:
    """A start that is over, well or not, with an engine that was made for it."""

    def start(engine: Engine) -> Startup:
        startup = Startup(options, lambda _options, _progress: engine).start()
        startup._thread.join()
        return startup

    return start
