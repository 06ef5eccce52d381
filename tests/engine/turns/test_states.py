"""Models with a state beside the KV: what they say is what it would be from scratch, at what cost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.metrics import KVSource
from engine.scheduling.sampling import SamplingParams
from engine.scheduling.sequence import Sequence
from engine.tiers import snapshot as snapshots
from engine.tiers.snapshot import SnapshotRefused
from tests.engine.fakes import babble, endless, saying
from tests.engine.rig import FINGERPRINT, Rig, make_disk, make_rig, make_stored_rig
from tests.engine.turns.test_thinking import OPENED

Rigs = Callable[..., Rig]
SHORT = "Hello"
LONG = "A message that is long enough for some blocks"


@pytest.fixture
def states(rigs: Rigs) -> Rigs:
    def make(**options: Any) -> Rig:
        return rigs(**{"num_blocks": 256, "num_states": 60, "choose": endless, **options})

    return make


def prompt_of(rig: Rig, message: str) -> int:
    """Tokens that a turn adds in front of its reply."""
    said = f"<|im_end|>\n<|im_start|>user\n{message}<|im_end|>\n<|im_start|>assistant\n"
    return len(rig.tokenizer.encode(said))


def test_a_turn_reads_only_what_is_new(states: Rigs) -> None:
    rig = states(choose=babble)
    rig.chat(SHORT)
    for message in (LONG, "And now?", "Really?"):
        before = rig.sequence().num_cached_tokens
        assert rig.chat(message).figures.reused_tokens >= before
        rig.check()


def test_a_new_answer_costs_one_token_in_the_last_two_turns(states: Rigs) -> None:
    rig = states()
    asked = [rig.chat(message) for message in (SHORT, LONG, "And now?")]
    for keep, message, first in ((4, "And now?", asked[2]), (2, LONG, asked[1])):
        again = rig.chat(message, keep=keep)
        assert again.text == first.text
        assert again.figures.prefilled_tokens == 1
        rig.check()


def test_an_edit_costs_its_message_in_the_last_two_turns(states: Rigs) -> None:
    rig = states()
    for message in (SHORT, LONG, "And now?"):
        rig.chat(message)
    for keep in (4, 2):
        figures = rig.chat("Changed", keep=keep).figures
        # One more: the last token of a reply that reached its length was only sampled.
        assert figures.prefilled_tokens <= prompt_of(rig, "Changed") + 1


def test_switching_and_undoing_cost_nothing(states: Rigs) -> None:
    rig = states()
    rig.chat(SHORT)
    rig.chat(LONG)
    old = rig.tokens()
    rig.chat("Changed", keep=2)
    rig.show(rig.versions(2)[0])
    figures = rig.chat("And now?").figures
    assert figures.reused_tokens >= len(old) - 1
    rig.core.show(rig.session(), rig.session().transcript[1].node.id)
    figures = rig.chat("Undone").figures
    assert figures.prefilled_tokens <= prompt_of(rig, "Undone") + 1


def test_far_back_it_reads_again_from_the_state_before(states: Rigs) -> None:
    rig = states(num_blocks=1024)
    for number in range(12):
        rig.chat(f"{LONG}, {number}")
    ends = [c.num_tokens for c in rig.sequence().states.all]
    whole = len(rig.tokens())
    asked = rig.chat("Changed", keep=4)
    assert asked.figures.reused_tokens in (0, *ends)
    back = whole - (asked.figures.reused_tokens + asked.figures.prefilled_tokens)
    assert asked.figures.prefilled_tokens <= prompt_of(rig, "Changed") + back
    plain = make_rig(num_blocks=256, choose=endless)
    for number in range(2):
        plain.chat(f"{LONG}, {number}")
    assert asked.text == plain.chat("Changed").text


def test_what_is_typed_is_read_once_whatever_key_comes_next(states: Rigs) -> None:
    rig = states()
    rig.chat(SHORT)
    rig.rest()
    behind = len(rig.tokens())
    setting = rig.asked[0].request.setting
    for draft in ("A dra", "A draft of a message", "A drawing of a message"):
        rig.core.draft(rig.session(), draft, setting)
        rig.rest()
        # One less: the reply was cut off, and may go on instead.
        assert rig.sequence().states.kept[-1].num_tokens == behind - 1
    figures = rig.chat("A drawing of a message").figures
    assert figures.reused_tokens > behind + len("A drawing")
    rig.check()


def test_a_reply_that_is_cut_back_is_read_again_while_people_read(states: Rigs) -> None:
    """Behind a stop string: its state is of more than was said."""
    rig = states(choose=saying("It is so, STOP! and more"))
    params = SamplingParams(temperature=0, stop=("STOP!",))
    rig.chat(SHORT, params=params)
    rig.rest()
    behind = len(rig.tokens())
    assert rig.chat(LONG, params=params).figures.reused_tokens >= behind


def test_an_answer_behind_opened_thoughts_is_read_again_without_its_message(states: Rigs) -> None:
    """The next prompt has neither the thoughts nor what opened them."""
    thought, answer = "Hm.\n</think>\n\n", "It is Paris."
    rig = states(num_blocks=512, template=OPENED, choose=saying("<think>\n", thought, answer))
    for message in (LONG, LONG * 2, SHORT):
        rig.chat(message, params=SamplingParams(temperature=0, max_tokens=100))
        rig.check()
    for asked in rig.asked[1:]:
        new = f"{answer}<|im_end|>\n<|im_start|>user\n{asked.request.message}<|im_end|>\n"
        new += "<|im_start|>assistant\n<think>\n"
        assert asked.figures.prefilled_tokens == len(rig.tokenizer.encode(new))


def test_a_reply_that_goes_on_is_not_read_again(states: Rigs) -> None:
    """Not even when what comes behind it was read ahead meanwhile."""
    rig = states()
    rig.chat(LONG)
    rig.rest()
    assert rig.more().figures.prefilled_tokens == 1
    rig.check()


def test_titles_leave_the_conversation_as_it_was(states: Rigs) -> None:
    rig = states(choose=babble)
    rig.chat(SHORT)
    before = rig.sequence().num_cached_tokens
    rig.rest()
    assert rig.chat(LONG).figures.reused_tokens >= before
    rig.check()


def test_an_operators_prompt_and_a_talk_of_the_same_owner_are_shared_up_to_a_state(
    states: Rigs,
) -> None:
    rig = states(system_prompt="You answer in few words, whatever people ask")
    operator = rig.core.parts.opening.prefixes.operator.num_cached_tokens
    assert rig.chat(LONG, "one/first").figures.reused_tokens == operator > 0
    assert rig.chat(LONG, "two/other").figures.reused_tokens == operator, "nobody else's"
    assert rig.chat(LONG, "one/second").figures.prefilled_tokens == 1


def test_idle_talks_give_their_states_to_those_who_answer(states: Rigs) -> None:
    """Older ones first, then whole talks; nobody's text changes."""
    rig = states(num_states=9)
    plain = make_rig(num_blocks=256, choose=endless)
    for round_ in range(3):
        for name in ("a", "b", "c", "d"):
            message = f"{LONG}, {round_}"
            assert rig.chat(message, name).text == plain.chat(message, name).text
            rig.check()
    assert rig.pool.states is not None
    assert rig.pool.states.num_used <= 9


@pytest.mark.parametrize("num_states", [8, 12, 60])
def test_many_at_once_say_what_each_would_alone(states: Rigs, num_states: int) -> None:
    rig = states(num_states=num_states, choose=babble)
    plain = make_rig(num_blocks=256)
    for round_ in range(3):
        begun = [rig.begin(f"{LONG}, {round_}", name) for name in "abcdef"]
        rig.run()
        expected = [plain.chat(f"{LONG}, {round_}", name).text for name in "abcdef"]
        assert [asked.text for asked in begun] == expected
        rig.check()


def test_a_failing_step_leaves_no_state_behind(states: Rigs) -> None:
    rig = states()
    rig.chat(SHORT)

    def fail(_inputs: object) -> None:
        rig.model.before = None
        raise RuntimeError("the model broke")

    begun = rig.begin(LONG)
    rig.step()
    rig.model.before = fail
    rig.run()
    assert begun.end.error is not None
    rig.check()
    plain = make_rig(num_blocks=256, choose=endless)
    plain.chat(SHORT)
    assert rig.chat(LONG, keep=2).text == plain.chat(LONG).text


def test_states_are_spilled_and_restored_with_the_kv(states: Rigs, tmp_path: Path) -> None:
    rig = states(disk=make_disk(tmp_path))
    for message in (SHORT, LONG):
        rig.chat(message)
    second = rig.asked[-1].text
    behind = len(rig.tokens()) - 1
    rig.spill()
    assert rig.sequence().num_cached_tokens == 0
    again = rig.chat(LONG, keep=2)
    assert (again.text, again.figures.prefilled_tokens) == (second, 1)
    assert again.figures.source is KVSource.DISK
    rig.spill()
    assert rig.chat("And now?").figures.reused_tokens >= behind
    rig.check()


def test_they_are_there_after_the_next_start(tmp_path: Path) -> None:
    rig = make_stored_rig(tmp_path, num_blocks=256, num_states=60, choose=endless)
    for message in (SHORT, LONG):
        rig.chat(message)
    second, behind = rig.asked[-1].text, len(rig.tokens()) - 1
    rig.stop()
    rig = make_stored_rig(tmp_path, num_blocks=256, num_states=60, choose=endless)
    again = rig.chat(LONG, keep=2)
    assert (again.text, again.figures.prefilled_tokens) == (second, 1)
    assert rig.chat("And now?").figures.reused_tokens >= behind
    rig.check()
    rig.stop()


def test_of_a_snapshot_the_last_states_come_back_where_there_is_no_room_for_all(
    states: Rigs,
) -> None:
    rig, small = states(), states(num_states=4)
    for number in range(6):
        rig.chat(f"{LONG}, {number}")
    branch = rig.session().active
    taken = rig.tiers.transfer.take(branch.sequence)
    assert len(taken.state_tokens) > 4
    sequence = branch.sequence.fork(rig.pool)
    sequence.truncate_kv(0, rig.pool)
    assert small.tiers.adopt(sequence, taken) == len(taken.tokens)
    assert [c.num_tokens for c in sequence.states.all] == taken.state_tokens[-2:]
    sequence.truncate_kv(0, small.pool)


def test_of_a_snapshot_that_says_more_the_state_before_that_comes_back(states: Rigs) -> None:
    """Though there is not room for those behind it, too."""
    rig, small = states(), states(num_states=4)
    for number in range(6):
        rig.chat(f"{LONG}, {number}")
    taken = rig.tiers.transfer.take(rig.sequence())
    wanted = taken.state_tokens[-5]
    sequence = Sequence(taken.tokens[:wanted])
    assert small.tiers.adopt(sequence, taken) == wanted
    assert [c.num_tokens for c in sequence.states.all] == [wanted]
    sequence.truncate_kv(0, small.pool)
    small.check()


@pytest.mark.parametrize("damage", ["value", "order", "missing"])
def test_a_snapshot_with_a_wrong_state_is_refused(states: Rigs, damage: str) -> None:
    rig = states()
    rig.chat(SHORT)
    rig.chat(LONG)
    sequence = rig.sequence()
    taken = rig.tiers.transfer.take(sequence)
    if damage == "value":
        taken.states[0][-1] ^= 1
    elif damage == "order":
        taken.state_tokens[0] = taken.state_tokens[1]
    else:
        taken.state_tokens.pop()
        taken.states[:] = [raw[:-1] for raw in taken.states]
    used = rig.pool.num_used
    fork = sequence.fork(rig.pool)
    fork.truncate_kv(0, rig.pool)
    with pytest.raises(SnapshotRefused):
        rig.tiers.adopt(fork, taken)
    assert rig.pool.num_used == used


def test_states_are_part_of_the_file_and_its_checksum(states: Rigs, tmp_path: Path) -> None:
    rig = states()
    rig.chat(LONG)
    taken = rig.tiers.transfer.take(rig.sequence())
    path = tmp_path / "snapshot"
    snapshots.write(path, taken, FINGERPRINT)
    read = snapshots.read(path, FINGERPRINT)
    assert read.state_tokens == taken.state_tokens
    for there, here in zip(read.states, taken.states, strict=True):
        assert there.tolist() == here.tolist()
    raw = bytearray(path.read_bytes())
    at = raw.index(taken.states[0][-1].tobytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.raises(SnapshotRefused):
        snapshots.read(path, FINGERPRINT)


def test_warming_up_gives_its_states_back(states: Rigs) -> None:
    rig = states(warm_up_shapes=((1,), (5, 1), (1,) * 100))
    rig.rest()
    assert rig.pool.states is not None
    assert rig.pool.states.num_used == 1
    rig.check()
