"""The double's own bookkeeping, where the contract cannot see it."""

from engine import SamplingParams
from engine.turns import TurnRequest
from tests.scripted import HOLD, End, Script


def test_turns_that_hold_alike_are_told_apart() -> None:
    script = Script(wake=lambda: None)
    request = TurnRequest(None, "Hi", SamplingParams(), emit=lambda _event: None)
    script.write(HOLD)
    script.write(HOLD)
    one, other = script.begins(request), script.begins(request)
    script.is_over(other)
    script.tell(End())
    assert one.steps[-1] == End()
    assert End() not in other.steps
