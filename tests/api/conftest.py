"""Requests to the API of a server over a scripted engine."""

from collections.abc import Iterator

import httpx
import pytest

from tests.scripted.app import ScriptedApp

PATIENCE_S = 60.0


@pytest.fixture
def http(app: ScriptedApp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.url, timeout=PATIENCE_S, trust_env=False) as client:
        yield client
