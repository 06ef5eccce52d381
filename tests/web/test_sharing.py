"""A public address, or a sentence that says why there is none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio import networking

from web import sharing
from web.options import Options


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Any, ...]]:
    """What the tunnel was asked for."""
    calls: list[tuple[Any, ...]] = []

    def tunnel(*arguments: Any) -> str:
        calls.append(arguments)
        return "https://abc.gradio.live"

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.delenv("SYSTEM", raising=False)
    monkeypatch.setattr(networking, "CERTIFICATE_PATH", ".gradio/certificate.pem")
    monkeypatch.setattr(networking, "setup_tunnel", tunnel)
    return calls


@pytest.mark.parametrize(
    ("host", "near"), [("127.0.0.1", "127.0.0.1"), ("::", "localhost"), ("[::1]", "::1")]
)
def test_the_public_address_is_told(
    options: Options, asked: list[tuple[Any, ...]], host: str, near: str,
    capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    sharing.share(gr.Blocks(), replace(options, host=host, port=81))
    assert asked[0][:2] == (near, 81)
    assert "https://abc.gradio.live" in capsys.readouterr().out
    assert Path(networking.__dict__["CERTIFICATE_PATH"]).parent == tmp_path


def test_without_a_network_the_page_is_there_and_a_sentence_says_so(
    options: Options, asked: list[Any], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def unreachable(*_: Any) -> str:
        raise RuntimeError("Could not get share link from Gradio API Server.")

    monkeypatch.setattr(networking, "setup_tunnel", unreachable)
    sharing.share(gr.Blocks(), options)
    assert "There is no public address (Could not get share link" in caplog.text


def test_a_space_needs_no_other_address(
    options: Options, asked: list[Any], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "someone/chat")
    sharing.share(gr.Blocks(), options)
    assert not asked
    assert "a public address of its own" in caplog.text
