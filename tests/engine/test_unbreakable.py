"""Nothing that the engine's thread is given ends it: files, settings, drafts, templates, its own parts."""

import asyncio
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import ConfigError, EngineError, RequestError
from engine.events import Finished, FinishReason, Text
from engine.scheduling.sampling import Sampler, SamplingParams
from tests.engine.fakes import endless
from tests.engine.rig import GREEDY, Rig, config, make_loader, session_id

HEAD = '{"format": "warmchat-conversation", "version": 1, '


@pytest.fixture
def made() -> list[Rig]:
    return []


@pytest.fixture
def engine(made: list[Rig]) -> Iterator[Engine]:
    running = Engine(config(), loader=make_loader(made)).start()
    running.wait_ready(5)
    running.open_session(session_id())
    yield running
    assert running.status == "ready", running.error
    assert asyncio.run(say(running, "Are you there?")).reason is not FinishReason.ERROR
    running.close()
    made[-1].check()


async def say(engine: Engine, message: str, name: str = "one", **options: Any) -> Finished:
    engine.open_session(session_id(name))
    stream = engine.chat(session_id(name), message, **({"params": GREEDY} | options))
    *_, last = [event async for event in stream]
    assert isinstance(last, Finished)
    return last


def archive(text: str, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        made.writestr("conversation.json", text)
    return file.getvalue()


def damaged_stream(compression: int) -> bytes:
    raw = bytearray(archive(HEAD + '"messages": []}' + " " * 300, compression))
    begin = raw.index(b"conversation.json") + len("conversation.json")
    raw[begin + 4 : begin + 24] = bytes(range(20))
    return bytes(raw)


def encrypted() -> bytes:
    raw = bytearray(archive("{}"))
    for begin in (raw.index(b"PK\3\4") + 6, raw.index(b"PK\1\2") + 8):
        raw[begin] |= 1
    return bytes(raw)


ONE_TURN = '"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], '
FILES = {
    "nested": b'{"a":' + b"[" * 3000,
    "nested in an archive": archive('{"a":' + "[" * 100_000),
    "infinite token": archive(
        HEAD + ONE_TURN + '"tokens": [1e999], "segments": [], "num_hidden": 0}'
    ),
    "infinite count": archive(
        HEAD + ONE_TURN + '"tokens": [1], "segments": [["a", 1e999, null]], "num_hidden": 0}'
    ),
    "huge number": archive(HEAD + ONE_TURN + f'"tokens": [{"9" * 5000}], "segments": []}}'),
    "half a character": b'{"format": "warmchat-conversation", "version": 1, "messages": '
    b'[{"role": "user", "content": "\\ud800"}, {"role": "assistant", "content": "b"}]}',
    "encrypted": encrypted(),
    "damaged deflate stream": damaged_stream(zipfile.ZIP_DEFLATED),
    "damaged lzma stream": damaged_stream(zipfile.ZIP_LZMA),
    "damaged bzip2 stream": damaged_stream(zipfile.ZIP_BZIP2),
    "bomb": archive(" " * (192 << 20), zipfile.ZIP_DEFLATED),
    "no object": b"{" + json.dumps([]).encode(),
    "only a signature": b"PK",
    "not text": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("name", FILES)
def test_an_imported_file_is_refused_with_a_sentence(engine: Engine, name: str) -> None:
    with pytest.raises(EngineError, match=r"\.$"):
        asyncio.run(asyncio.wait_for(engine.import_file(session_id("new"), FILES[name]), 10))


def test_a_file_that_is_small_and_unpacks_to_much_is_refused_before_it_is_unpacked(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(RequestError, match="packed"):
        asyncio.run(asyncio.wait_for(engine.import_file(session_id("new"), FILES["bomb"]), 10))


def test_a_command_that_fails_is_told_to_who_gave_it(engine: Engine, made: list[Rig]) -> None:
    def fails(*_: object) -> bytes:
        raise MemoryError("no room for the snapshot")

    asyncio.run(say(engine, "Hello"))
    sharing = made[0].core.parts.sharing
    original = type(sharing).export
    type(sharing).export = fails  # type: ignore[method-assign, assignment]
    try:
        with pytest.raises(EngineError, match="log"):
            asyncio.run(asyncio.wait_for(engine.export_portable(session_id()), 10))
    finally:
        type(sharing).export = original  # type: ignore[method-assign]


@pytest.mark.parametrize("part", ["idle.prefill_ahead", "tiers.saving.changed"])
def test_idle_work_that_cannot_even_be_wished_for_ends_nothing(
    engine: Engine, made: list[Rig], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a template that chokes on a draft."""

    def fails(*_: object, **__: object) -> None:
        raise TypeError("Undefined is not JSON serializable")

    with monkeypatch.context() as patched:
        owner, _, name = part.rpartition(".")
        patched.setattr(attrgetter(owner)(made[0].core.parts), name, fails)
        engine.draft(session_id(), "Half a sen")
        assert asyncio.run(say(engine, "Half a sentence")).reason is FinishReason.STOP


def test_an_engine_that_a_fault_has_ended_is_loaded_again_with_its_conversations(
    engine: Engine, made: list[Rig]
) -> None:
    first = asyncio.run(say(engine, "Hello"))
    before = engine.messages(session_id())
    made[0].core.parts.idle.wait_s = fails  # type: ignore[method-assign]
    engine._owner.wake()
    while not engine.restarts:
        time.sleep(0.001)
    second = asyncio.run(say(engine, "And now?"))
    assert (first.reason, second.reason) == (FinishReason.STOP, FinishReason.STOP)
    assert engine.messages(session_id())[:2] == before
    assert engine.restarts == 1
    assert len(made) == 2


def test_who_waits_when_the_engine_ends_is_told_and_may_ask_again(
    engine: Engine, made: list[Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    made[0].model.choose = endless

    async def main() -> None:
        params = SamplingParams(temperature=0, max_tokens=100_000)
        async for event in engine.chat(session_id(), "Hi", params=params):
            if isinstance(event, Text):
                monkeypatch.setattr(type(made[0].core), "has_work", property(broken))
            if isinstance(event, Finished):
                monkeypatch.undo()
                assert event.reason is FinishReason.CANCELLED
                return
        raise AssertionError

    def broken(_core: object) -> bool:
        monkeypatch.undo()
        raise RuntimeError("a bug")

    asyncio.run(asyncio.wait_for(main(), 20))
    assert engine.transcript(session_id())[-1].node.status == "interrupted"


def test_an_engine_that_keeps_ending_stays_ended_and_says_so(made: list[Rig]) -> None:
    load = make_loader(made)

    def loading(*arguments: Any) -> Any:
        loaded = load(*arguments)
        made[-1].core.parts.idle.wait_s = fails  # type: ignore[method-assign]
        return loaded

    engine = Engine(config(), loader=loading).start()
    engine._owner.thread.join(20)
    assert engine.status == "failed"
    assert "keeps stopping" in str(engine.error)
    with pytest.raises(EngineError, match="keeps stopping"):
        asyncio.run(say(engine, "Hello"))


def fails() -> float:
    raise RuntimeError("a bug")


def test_a_reply_whose_sampling_fails_ends_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = Sampler.follow

    def fails_for_one(sampler: Sampler, rows: Any, guesses: Any) -> list[int]:
        if sampler.params.seed == 13:
            raise ValueError("cannot convert float NaN to integer")
        return follow(sampler, rows, guesses)

    monkeypatch.setattr(Sampler, "follow", fails_for_one)

    async def main() -> list[Finished]:
        unlucky = SamplingParams(temperature=0, max_tokens=9, seed=13)
        asked = [say(engine, "Hi", "one", params=unlucky), say(engine, "Hi", "two")]
        return list(await asyncio.gather(*asked))

    first, second = asyncio.run(asyncio.wait_for(main(), 20))
    assert first.reason is FinishReason.ERROR
    assert first.error
    assert second.reason in (FinishReason.STOP, FinishReason.LENGTH)


@pytest.mark.parametrize(
    "setting",
    [
        {"top_k": 2.5}, {"top_k": "4"}, {"top_k": -1}, {"top_k": True}, {"top_k": 10**20},
        {"seed": 1.5}, {"seed": float("inf")}, {"seed": -1}, {"seed": 2**64},
        {"max_tokens": 1.5}, {"max_tokens": 0}, {"max_tokens": float("nan")},
        {"temperature": float("nan")}, {"temperature": float("inf")}, {"temperature": "hot"},
        {"temperature": -0.1}, {"temperature": None},
        {"top_p": float("nan")}, {"top_p": 0}, {"min_p": float("nan")}, {"min_p": "x"},
        {"repetition_penalty": float("inf")}, {"repetition_penalty": 0}, {"repetition_penalty": 1e39},
        {"presence_penalty": "x"}, {"presence_penalty": float("nan")}, {"presence_penalty": 1e39},
        {"frequency_penalty": float("-inf")}, {"frequency_penalty": [1]},
        {"stop": (1,)}, {"stop": ("",)}, {"stop": "END"}, {"stop": ["END"]}, {"stop": ("x" * 1001,)},
        {"stop": ("x",) * 101},
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused_by_name(setting: dict[str, Any]) -> None:
    (name,) = setting
    words = {"stop": "stop", "max_tokens": "number of tokens", "top_k": "top-k", "top_p": "top-p",
             "min_p": "min-p"}  # fmt: skip
    with pytest.raises(ConfigError, match=f"(?i){words.get(name, name.replace('_', ' '))}"):
        SamplingParams(**setting)


@pytest.mark.parametrize(
    ("given", "taken"),
    [({"top_k": 40}, 40), ({"temperature": 1}, 1), ({"max_tokens": 5}, 5), ({"seed": 0}, 0)],
)
def test_numbers_of_another_type_that_are_the_same_are_taken(
    given: dict[str, Any], taken: float
) -> None:
    (name,) = given
    value = getattr(SamplingParams(**given), name)
    assert (value, type(value)) == (taken, type(taken))


def test_very_small_temperatures_are_greedy() -> None:
    assert SamplingParams(temperature=1e-39).is_greedy
    assert not SamplingParams(temperature=0.01).is_greedy


def test_an_engine_that_stands_still_can_be_told_from_one_that_waits(engine: Engine) -> None:
    assert asyncio.run(say(engine, "Hello")).reason is FinishReason.STOP
    while engine.stands_still_s:  # until it is done with what follows the turn
        time.sleep(0.001)
    goes_on = threading.Event()
    engine._owner.post(lambda _core: goes_on.wait())
    while engine.stands_still_s < 0.01:
        time.sleep(0.001)
    first = engine.stands_still_s
    while engine.stands_still_s <= first:
        time.sleep(0.001)
    goes_on.set()
    while engine.stands_still_s:
        time.sleep(0.001)
