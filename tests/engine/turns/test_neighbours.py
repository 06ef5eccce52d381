"""Whatever one person sets, the answers of the three beside them are what they would be alone."""

from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError, RequestError
from engine.scheduling.sampling import SamplingParams
from tests.engine.fakes import endless
from tests.engine.rig import Rig, make_rig

OTHERS = ("One", "Two, which is longer", "Three 中文")
PARAMS = SamplingParams(temperature=0, max_tokens=12)

numbers = st.one_of(
    st.floats(), st.integers(), st.sampled_from([0, 1, -1, 1e39, 1e-40, 2**63, 2**64, 1e999]),
    st.floats(0, 2), st.text(max_size=3), st.none(), st.booleans(),
)  # fmt: skip
stops = st.one_of(
    st.lists(st.one_of(st.text(max_size=3), numbers), max_size=3).map(tuple), st.text(max_size=3)
)
odd_settings = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            (
                *("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed"),
                *("presence_penalty", "frequency_penalty"),
            ),
            numbers,
        ),
        "max_tokens": st.one_of(st.integers(1, 20), numbers),
        "stop": stops,
    },
)


def rig_of_four() -> Rig:
    return make_rig(num_blocks=512, choose=endless)


@cache
def alone(message: str) -> str:
    return rig_of_four().chat(message, params=PARAMS).text


@given(values=odd_settings)
@settings(max_examples=120)
def test_odd_settings_are_refused_or_taken_and_touch_nobody_else(values: dict[str, Any]) -> None:
    rig = rig_of_four()
    asked = [rig.begin(message, f"{i}", PARAMS) for i, message in enumerate(OTHERS)]
    rig.step()
    try:
        odd = rig.begin("Odd", "odd", SamplingParams(**values))
    except (ConfigError, RequestError):
        assert not rig.session("odd").messages, "nothing is stored of what is refused"
    else:
        for _ in range(40):
            rig.step()
        odd.request.cancelled = True
    rig.run()
    assert [turn.text for turn in asked] == [alone(message) for message in OTHERS]
    rig.check()
