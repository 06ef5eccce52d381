"""Conversations leave and enter the engine, with their KV; damaged and foreign files do not."""

import io
import json
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError, RequestError
from engine.tiers import portable
from engine.tiers.portable import ImportRefused
from engine.tiers.transfer import Transfer
from engine.turns import sharing
from tests.engine.rig import FINGERPRINT, Rig, assistant, make_rig, user

Rigs = Callable[..., Rig]

TALK = [
    user("Hi\n## User\n\\## User"),
    assistant("## Assistant\n\n中文🙂"),
    user("x"),
    assistant(""),
]


def exported(rig: Rig) -> bytes:
    rig.chat("A first message")
    rig.chat("A second one")
    return rig.core.export(rig.session())


@given(
    st.lists(
        st.tuples(
            st.text(st.sampled_from("ab#\\ \n中U")).map(lambda t: t.strip("\n")),
            st.text(st.sampled_from("ab#\\ \n中")).map(lambda t: t.strip("\n")),
        ),
        min_size=1,
    )
)
def test_markdown_and_json_come_back_as_they_went(pairs: list[tuple[str, str]]) -> None:
    messages = [m for said, replied in pairs for m in (user(said), assistant(replied))]
    assert portable.from_markdown(portable.to_markdown(messages)) == messages
    assert portable.from_json(portable.to_json(messages)) == messages


def test_headings_within_messages_stay_part_of_them() -> None:
    assert portable.from_markdown(portable.to_markdown(TALK)) == TALK


@pytest.mark.parametrize(
    "text",
    ["", "Hello", "## Assistant\n\nHi", "## User\n\nHi", "{", '{"format": "other"}', "[]", "{}"],
)
def test_what_is_no_conversation_is_refused(text: str) -> None:
    read = portable.from_json if text[:1] in {"{", "["} else portable.from_markdown
    with pytest.raises(ImportRefused):
        read(text)


def test_a_portable_file_is_gone_on_with_elsewhere_without_prefill(rigs: Rigs) -> None:
    here, there = rigs(), rigs()
    raw = exported(here)
    session = there.session("imported")
    there.core.parts.sharing.read(session, raw)
    assert session.messages == here.session().messages
    expected = here.chat("And now?")
    asked = there.chat("And now?", "imported")
    assert asked.text == expected.text
    assert asked.figures.prefilled_tokens <= expected.figures.prefilled_tokens + 1
    assert asked.figures.reused_tokens > 20


def test_kv_that_another_cpu_computes_otherwise_is_prefilled_anew(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = rigs(), rigs()
    raw = exported(here)
    compute = Transfer._last_logits
    session = there.session("imported")
    with monkeypatch.context() as other_cpu:
        other_cpu.setattr(Transfer, "_last_logits", lambda self, tokens: compute(self, tokens) + 1)
        there.core.parts.sharing.read(session, raw)
    assert session.messages == here.session().messages
    assert session.active.sequence.num_cached_tokens == 0
    assert there.chat("And now?", "imported").text == here.chat("And now?").text


def test_markdown_and_json_are_prefilled_anew(rigs: Rigs) -> None:
    here = rigs()
    here.chat("A first message")
    expected = here.chat("And now?")
    for form in (portable.to_markdown, portable.to_json):
        there = rigs()
        raw = form(here.session().messages[:2]).encode()
        there.core.parts.sharing.read(there.session(), raw)
        assert there.chat("And now?").text == expected.text


def test_a_flipped_byte_anywhere_never_makes_another_conversation(rigs: Rigs) -> None:
    raw = exported(rigs())
    for position in range(0, len(raw), 97):
        damaged = bytearray(raw)
        damaged[position] ^= 0x10
        there = make_rig()
        session = there.session()
        try:
            there.core.parts.sharing.read(session, bytes(damaged))
        except EngineError:
            assert not session.messages
        else:  # a byte that nobody reads
            assert there.chat("And?").text == gone_on(raw)


def gone_on(raw: bytes) -> str:
    rig = make_rig()
    rig.core.parts.sharing.read(rig.session(), raw)
    return rig.chat("And?").text


def test_tokens_that_the_model_does_not_have_are_refused(rigs: Rigs) -> None:
    rig = rigs()
    record = {
        "format": portable.FORMAT,
        "version": portable.VERSION,
        "messages": [m._asdict() for m in (user("a"), assistant("b"))],
        "tokens": [1 << 20],
        "segments": [["a", 1, None]],
        "num_hidden": 0,
    }
    with pytest.raises(ImportRefused, match="tokens"):
        portable._tokens(json.loads(json.dumps(record)), rig.model.vocab_size)


def test_a_file_without_its_first_bytes_is_refused(rigs: Rigs) -> None:
    """The archive's sizes then send its reader before the beginning."""
    raw = exported(rigs())
    for count in (1, 60, len(raw) // 2):
        with pytest.raises(ImportRefused, match="damaged"):
            portable.unpack(raw[count:], FINGERPRINT, 512, 1 << 20)


@pytest.mark.parametrize("form", ["json", "markdown", "portable"])
def test_more_text_than_a_conversation_can_be_is_refused_before_it_is_parsed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    raw = {"json": lambda: portable.to_json(TALK[:2]).encode(),
           "markdown": lambda: portable.to_markdown(TALK[:2]).encode(),
           "portable": lambda: exported(rig)}[form]()  # fmt: skip
    monkeypatch.setattr(portable, "MAX_TEXT_BYTES", 20)
    monkeypatch.setattr(json, "loads", lambda _text: pytest.fail("it was parsed"))
    with pytest.raises(ImportRefused, match="of text"):
        rig.core.parts.sharing.read(rig.session("new"), raw)


def test_more_messages_than_a_conversation_can_have_are_refused() -> None:
    talk = TALK[:2] * (portable.MAX_MESSAGES // 2)
    assert len(portable.from_json(portable.to_json(talk))) == portable.MAX_MESSAGES
    with pytest.raises(ImportRefused, match="10,000 messages"):
        portable.from_json(portable.to_json(talk + TALK[:2]))


def test_a_packed_file_is_refused(rig: Rig) -> None:
    """A small file must not become a large one."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversation.json", "[" * 2**20)
    with pytest.raises(ImportRefused, match="packed again"):
        rig.core.parts.sharing.read(rig.session(), raw.getvalue())


def test_kv_that_cannot_fit_is_not_even_read(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = rigs(), rigs()
    raw = exported(here)
    monkeypatch.setattr(sharing, "_BESIDE_BLOCKS_BYTES", -(2**40))
    session = there.session("imported")
    there.core.parts.sharing.read(session, raw)
    assert session.active.sequence.num_cached_tokens == 0
    assert there.chat("And now?", "imported").text == here.chat("And now?").text


def test_only_a_new_conversation_takes_an_import(rig: Rig) -> None:
    raw = exported(rig)
    with pytest.raises(RequestError, match="new conversation"):
        rig.core.parts.sharing.read(rig.session(), raw)


def test_an_empty_conversation_has_nothing_to_export(rig: Rig) -> None:
    with pytest.raises(RequestError, match="nothing"):
        rig.core.export(rig.session())
