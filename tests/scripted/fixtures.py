"""A server over a scripted engine for each file of tests, with an empty script for each test."""

from collections.abc import Iterator

import pytest

from tests.scripted.app import ScriptedApp, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedApp]:
    with serving(tmp_path_factory.mktemp("data")) as app:
        yield app


@pytest.fixture
def app(server: ScriptedApp) -> Iterator[ScriptedApp]:
    yield server
    server.engine.pause_idle_work(False)
    server.script.reset()
