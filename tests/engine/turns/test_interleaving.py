"""Random arrivals, cancels and edits over tiny pools: everyone gets what they would get alone."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import FinishReason
from engine.scheduling.sampling import SamplingParams
from tests.engine.fakes import endless
from tests.engine.rig import Asked, Rig, make_rig

NAMES = ("a", "b", "c", "d")
CONTEXT = 64
TERSE = (
    "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
    "<|im_start|>"
)


@dataclass(frozen=True)
class Say:
    """Somebody sends a message, after so many of the earlier ones, and may stop the reply."""

    name: str
    length: int
    max_tokens: int
    temperature: float
    drop: int  # messages at the end that the new one replaces
    steps_before: int  # steps that run before it is sent
    cancel_after: int | None  # steps after which it is stopped


says = st.lists(
    st.builds(
        Say,
        name=st.sampled_from(NAMES),
        length=st.sampled_from([1, 2, 9, 9, 20, 25]),
        max_tokens=st.sampled_from([1, 8, 20, 30]),
        temperature=st.sampled_from([0.0, 20.0]),
        drop=st.sampled_from([0, 0, 0, 1, 2, 4]),
        steps_before=st.sampled_from([0, 0, 1, 3]),
        cancel_after=st.sampled_from([None, None, 0, 1, 4, 12]),
    ),
    min_size=6,
    max_size=12,
)


@dataclass
class Crowd:
    """Sends messages into one rig, and writes down each conversation as it went."""

    rig: Rig
    due: list[tuple[int, Asked]] = field(default_factory=list)
    history: dict[str, list[tuple[Say, int, Asked]]] = field(default_factory=dict)
    now: int = 0

    def send(self, number: int, say: Say) -> None:
        for _ in range(say.steps_before):
            self.step()
        turns = self.history.setdefault(say.name, [])
        while turns and not turns[-1][2].finished:
            self.step()
        keep = max(len(self.rig.session(say.name).messages) - say.drop, 0)
        asked = self.rig.begin(text(number, say), say.name, params(number, say), keep=keep)
        turns.append((say, keep, asked))
        if say.cancel_after is not None:
            self.due.append((self.now + say.cancel_after, asked))

    def step(self) -> None:
        for when, asked in self.due:
            if when <= self.now:
                asked.request.cancelled = True
        self.now += 1
        assert self.now < 4000, "no progress"
        self.rig.core.step()
        self.rig.check()

    def finish(self) -> None:
        while self.rig.core.has_work:
            self.step()


def text(number: int, say: Say) -> str:
    return "ABC"[number % 3] * say.length  # now and then the same again, as in a regenerated reply


def params(number: int, say: Say) -> SamplingParams:
    return SamplingParams(
        temperature=say.temperature, top_k=0, top_p=1, seed=number, max_tokens=say.max_tokens
    )


def replay(turns: list[tuple[Say, int, Asked]], number_of: dict[int, int]) -> list[str]:
    """The replies of one conversation in a rig of its own; stopped ones are stopped as early."""
    rig = make_rig(template=TERSE, choose=endless, context_length=CONTEXT)
    texts = []
    for say, keep, asked in turns:
        number = number_of[id(asked)]
        again = rig.begin(text(number, say), say.name, params(number, say), keep=keep)
        wanted = asked.figures.generated_tokens
        generated = 0
        while rig.core.has_work and not (
            asked.reason is FinishReason.CANCELLED and generated >= wanted
        ):
            before = rig.core.replies.num_tokens
            rig.core.step()
            generated += rig.core.replies.num_tokens - before
        again.request.cancelled = True
        rig.core.step()
        texts.append(again.text)
    return texts


@settings(max_examples=120)
@given(
    says,
    st.integers(16, 17),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([(8, 4), (16, 8), (64, 16)]),
    st.sampled_from([0, 0, 8, 30]),
)
def test_each_conversation_goes_as_if_it_were_alone(
    said: list[Say], num_blocks: int, num_sequences: int, budget: tuple[int, int], num_states: int
) -> None:
    rig = make_rig(
        num_blocks=num_blocks,
        context_length=CONTEXT,
        choose=endless,
        template=TERSE,
        max_num_sequences=num_sequences,
        max_num_batched_tokens=budget[0],
        max_prefill_beside_decode=budget[1],
        num_states=num_states,
    )
    crowd = Crowd(rig)
    for number, say in enumerate(said):
        crowd.send(number, say)
    crowd.finish()
    number_of = {id(asked): number for number, asked in enumerate(rig.asked)}
    for turns in crowd.history.values():
        assert [asked.text for _, _, asked in turns] == replay(turns, number_of)
    check_budget(rig, num_sequences, budget[0])


def check_budget(rig: Rig, num_sequences: int, num_tokens: int) -> None:
    for step in rig.model.steps:
        assert len(step.counts) <= num_sequences
        assert sum(count for count in step.counts if count > 1) <= num_tokens
