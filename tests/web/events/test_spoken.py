"""A Chinese page says in Chinese what the engine, the export and the start say in English."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from engine import SessionId
from engine.errors import SessionBusy
from engine.events import FinishReason
from engine.turns.core import BUSY
from tests.scripted import Cost, End, Engines, Say, ScriptedEngine
from web import identity, view
from web.events.chat import Chat
from web.events.composing import Composing
from web.events.conversations import Conversations
from web.events.exchange import Exchange
from web.files import Downloads
from web.languages import COOKIE
from web.options import parse_options
from web.page.completion import CompletionPage
from web.startup import Startup
from web.turns.turns import Turns

IDS = identity.mint()
SETTINGS = ("", 0, 0.0, 1.0, 0, None, 0.0, 1.0, 0.0, 0.0, "", True, False)
CONTEXT = 200


def request(language: str) -> gr.Request:
    headers = {"cookie": f"{COOKIE}={language}"}
    return cast(gr.Request, SimpleNamespace(session_hash="tab", username=None, headers=headers))


@pytest.fixture
def engine(engines: Engines, tmp_path: Path) -> ScriptedEngine:
    return engines(tmp_path, context_length=CONTEXT)


@pytest.fixture
def startup(engine: ScriptedEngine, started: Callable[[ScriptedEngine], Startup]) -> Startup:
    return started(engine)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(gr, "Warning", said.append)
    return said


def answered(startup: Startup, message: str, language: str, *, temperature: float = 0.0) -> str:
    """What the page shows at the end of the answer."""
    settings = (*SETTINGS[:2], temperature, *SETTINGS[3:])

    async def scenario() -> Any:
        turns, shown = Turns(startup), None
        chat = Chat(startup, turns, Composing(startup, turns))
        async for conversation in chat.answer(message, None, IDS, *settings, request(language)):
            shown = conversation
        return shown

    return str(asyncio.run(asyncio.wait_for(scenario(), 60)))


def completed(startup: Startup, prompt: str, language: str, *, temperature: float = 0.0) -> str:
    """What stands below a completion at its end."""

    async def scenario() -> str:
        line = ""
        page = CompletionPage(startup).complete(prompt, 9, temperature, 1.0, request(language))
        async for _, shown in page:
            line = shown
        return line

    return asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("zh-CN", "而模型的上下文只能容纳 200 个。请缩短"), ("zh-TW", "而模型的上下文只能容納 200 個。請縮短")],
)  # fmt: skip
def test_a_message_that_is_too_long(startup: Startup, language: str, sentence: str) -> None:
    message = "x" * CONTEXT
    assert sentence in answered(startup, message, language)
    assert sentence in completed(startup, message, language)


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("zh-CN", "模型的上下文（200 个词元）已满"), ("zh-TW", "模型的上下文（200 個詞元）已滿")],
)
def test_a_context_that_is_full(
    engine: ScriptedEngine, startup: Startup, language: str, sentence: str
) -> None:
    engine.script.write(Say("y" * CONTEXT))
    assert sentence in answered(startup, "Hi", language)
    assert sentence in str(view.conversation(engine.transcript(SessionId(**IDS)), language))


def test_an_answer_that_fails_and_one_that_says_what_it_left_out(
    engine: ScriptedEngine, startup: Startup
) -> None:
    note = "The conversation no longer fits; the model now sees it from message 3 on."
    engine.script.write(Cost(note=note), Say("Well."))
    assert "模型现在从第 3 条消息看起。" in answered(startup, "Hi", "zh-CN")
    failed = "The model failed at this step; the conversation is kept. Try again."
    engine.script.write(End(FinishReason.ERROR, failed))
    assert "模型在这一步出错，对话仍然保留。请重试。" in answered(startup, "Hi", "zh-CN")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"format": 5}', "文件不是暖聊的对话。"),
        (b"PK\x03\x04 broken", "文件已损坏，或不是暖聊的对话。"),
        (b"Hello", "这份 Markdown 没有以标题 `## User` 开头。"),
    ],
)
def test_an_import_that_is_refused(
    startup: Startup, warnings: list[str], tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    exchange = Exchange(startup, Conversations(startup, Turns(startup)), Downloads())
    asyncio.run(exchange.imported(str(path), IDS, "", request("zh-CN")))
    assert warnings == [f"无法打开这个文件。{sentence}"]


def test_a_click_that_is_refused(
    startup: Startup, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_arguments: object) -> None:
        raise SessionBusy(BUSY)

    conversations = Conversations(startup, Turns(startup))
    monkeypatch.setattr(conversations, "_obeyed", refused)
    event = cast(gr.EventData, SimpleNamespace(_data={"act": "delete", "id": "x"}))
    asyncio.run(conversations.click(IDS, "", request("zh-TW"), event))
    assert warnings == ["這裡還有一則回答正在產生，請將其停止，或等它結束。"]


def test_a_setting_that_cannot_be(startup: Startup) -> None:
    sentence = "设置无效：温度：必须是 0 到 100 之间的数。"
    assert sentence in answered(startup, "Hi", "zh-CN", temperature=-1)
    assert sentence in completed(startup, "Hi", "zh-CN", temperature=-1)


def test_a_model_that_cannot_be_loaded_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (folder / name).write_bytes(b"")
    arguments = ["--model", str(folder), "--data-dir", str(tmp_path / "data")]
    startup = Startup(parse_options(arguments, environ={})).start()
    startup._thread.join()
    for language, sentence in (
        ("zh-CN", f"{folder} 中没有 config.json。请重新下载全部文件，"),
        ("zh-TW", f"{folder} 中沒有 config.json。請重新下載全部檔案，"),
        ("en", f"{folder} has no config.json; download it again, all files included,"),
    ):
        assert sentence in view.status(startup, language)
        assert sentence in answered(startup, "Hi", language)
        assert sentence in completed(startup, "Hi", language)
