"""Replies as they arrive: pieces join to the whole, characters and stop strings never break."""

from collections.abc import Sequence
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.streaming import BROKEN, ReplyText
from tests.engine.fakes import PIECE_IDS, PIECES, SPECIAL_IDS, FakeTokenizer

TOKENIZER = FakeTokenizer()


def stream(reply: ReplyText, tokens: Sequence[int]) -> list[str]:
    """The pieces that people see, one for each token, and what the end adds."""
    pieces = []
    for token in tokens:
        reply.add(token)
        reply.advance(TOKENIZER.decode_batch(reply.windows()))
        pieces.append(reply.take())
        if reply.stopped:
            break
    return [*pieces, reply.take(final=True)]


texts = st.text(st.sampled_from("ab é中文🙂e\u0301👩\u200d👧 \n"), max_size=30)
tokens = st.lists(
    texts.map(lambda text: list(text.encode()))
    | st.sampled_from([*PIECE_IDS.values(), *SPECIAL_IDS.values()]).map(lambda token: [token]),
    max_size=8,
).map(lambda runs: [token for run in runs for token in run])
stops = st.lists(st.text("abSTOP!🙂\n ", min_size=1, max_size=4), max_size=3).map(tuple)


@given(tokens, texts)
def test_pieces_join_to_the_full_decode(ids: list[int], context: str) -> None:
    pieces = stream(ReplyText(list(context.encode())), ids)
    assert "".join(pieces) == TOKENIZER.decode(ids)
    assert not any(BROKEN in piece for piece in pieces)


@given(tokens, texts, stops, st.lists(st.integers(1, 12), min_size=1))
def test_tokens_that_gathered_say_what_they_say_one_by_one(
    ids: list[int], context: str, stop: tuple[str, ...], sizes: list[int]
) -> None:
    one_by_one, gathered = (ReplyText(list(context.encode()), stop) for _ in range(2))
    stream(one_by_one, ids)
    left, turns = list(ids), cycle(sizes)
    while left and not gathered.stopped:
        count = next(turns)
        for token in left[:count]:
            gathered.add(token)
        left = left[count:]
        assert gathered.has_unread
        gathered.advance(TOKENIZER.decode_batch(gathered.windows()))
        assert gathered.stopped or not gathered.has_unread
    assert (gathered.text, gathered.stopped) == (one_by_one.text, one_by_one.stopped)
    assert gathered.kept() == one_by_one.kept()


@given(texts)
def test_each_character_is_shown_with_its_last_byte(text: str) -> None:
    pieces = stream(ReplyText([]), list(text.encode()))
    byte = 0
    for character in text:
        byte += len(character.encode())
        assert pieces[byte - 1] == character


@given(st.lists(st.sampled_from([0x61, 0x80, 0xC3, 0xE4, 0xF0, 0xFF, 0xA9]), max_size=7))
def test_invalid_bytes_become_what_the_full_decode_makes_of_them(raw: list[int]) -> None:
    pieces = stream(ReplyText([]), [*raw, ord("z")])
    assert "".join(pieces) == TOKENIZER.decode([*raw, ord("z")])


def test_bytes_that_stay_broken_are_shown_in_the_end() -> None:
    pieces = stream(ReplyText([]), [0xFF] * 8)
    assert pieces[:7] == [""] * 7
    assert pieces[7] == BROKEN * 8


def test_an_unfinished_character_at_the_end_is_dropped() -> None:
    reply = ReplyText([])
    assert stream(reply, [*b"ok", 0xE4, 0xB8]) == ["o", "k", "", "", ""]
    assert reply.kept() == [1, 2]


@given(tokens, stops)
def test_nothing_from_a_stop_string_on_is_ever_shown(ids: list[int], stop: tuple[str, ...]) -> None:
    reply = ReplyText([], stop)
    shown = "".join(stream(reply, ids))
    whole = TOKENIZER.decode(ids)
    found = [i for i in (whole.find(s) for s in stop) if i >= 0]
    assert reply.stopped == bool(found)
    if not found:
        assert shown == whole
    else:  # the first to be complete wins; another may begin before it
        assert whole.startswith(shown)
        assert not any(s in shown for s in stop)
        assert any(whole.startswith(s, len(shown)) for s in stop)


@pytest.mark.parametrize("ids", [list(b"aSTOP!"), [97, PIECE_IDS["STO"], PIECE_IDS["P!"]]])
def test_a_stop_string_may_cross_tokens(ids: list[int]) -> None:
    reply = ReplyText([], ("STOP",))
    assert "".join(stream(reply, ids)) == "a"
    assert reply.kept() == [1]


def test_what_may_become_a_stop_string_waits() -> None:
    assert stream(ReplyText([], ("abc", "bx")), list(b"1ababd")) == [
        "1",
        "",
        "",
        "ab",
        "",
        "abd",
        "",
    ]


@given(tokens, stops)
def test_kept_tokens_say_what_their_offsets_say(ids: list[int], stop: tuple[str, ...]) -> None:
    reply = ReplyText([], stop)
    stream(reply, ids)
    ends = reply.kept()
    assert ends == sorted(ends)
    assert TOKENIZER.decode(ids[: len(ends)]) == reply.text[: ends[-1] if ends else 0]
    if len(ends) < len(ids):
        assert reply.stopped


def test_every_piece_of_the_vocabulary_streams_as_it_is() -> None:
    for piece in PIECES:
        assert stream(ReplyText([]), [PIECE_IDS[piece]]) == [piece, ""]


def test_a_detokenizer_that_strips_the_space_in_front_loses_none_within_a_reply() -> None:
    """As those of sentencepiece models do with each run of ids that they are given."""
    reply = ReplyText(list(b"x"))
    shown = ""
    for token in b" one two":
        reply.add(token)
        reply.advance([TOKENIZER.decode(ids).removeprefix(" ") for ids in reply.windows()])
        shown += reply.take()
    assert shown == " one two"
