"""With `shift`, a shortened conversation keeps its KV; what is said stays what it would be."""

from engine.scheduling.sampling import SamplingParams
from tests.engine.fakes import saying
from tests.engine.rig import Rig, make_rig

REPLY = "an answer in letters"
PARAMS = SamplingParams(temperature=0, max_tokens=24)


def long_rig(*, shifts: bool) -> Rig:
    return make_rig(num_blocks=200, context_length=256, choose=saying(REPLY), shifts=shifts)


def talk(rig: Rig) -> list[tuple[str, int, int]]:
    """(reply, prefilled tokens while somebody waits, first visible message) of each turn."""
    turns = []
    for number in range(8):
        asked = rig.chat(f"Message {number} of a talk that gets long", params=PARAMS)
        figures = asked.figures
        turns.append((asked.text, figures.prefilled_tokens, figures.first_visible))
        rig.check()
    return turns


def test_a_shortened_conversation_keeps_its_kv_and_says_the_same() -> None:
    recomputing, shifting = long_rig(shifts=False), long_rig(shifts=True)
    recomputed, shifted = talk(recomputing), talk(shifting)
    assert [turn[0] for turn in shifted] == [turn[0] for turn in recomputed]
    assert [turn[2] for turn in shifted] == [turn[2] for turn in recomputed]
    overflows = [i for i in range(1, 8) if shifted[i][2] > shifted[i - 1][2]]
    assert overflows, "the talk never got too long"
    for i in overflows:
        assert shifted[i][1] < recomputed[i][1] / 2
    assert shifting.session().active.is_shifted


def test_moved_kv_serves_nobody_else_and_is_forgotten_with_the_blocks() -> None:
    rig = long_rig(shifts=True)
    talk(rig)
    session = rig.session()
    assert rig.core.parts.tiers.snapshot_of(session, session.active) is None
    rig.core.evict(session)
    assert not session.active.is_shifted
