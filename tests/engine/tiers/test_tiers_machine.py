"""Random lives of two owners' conversations, against an oracle that computes each from scratch."""

import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from engine.conversations.session import SessionId
from engine.events import FinishReason
from engine.scheduling.sampling import SamplingParams
from engine.turns.turn import TurnRequest
from tests.engine.fakes import endless
from tests.engine.rig import Asked, Rig, make_rig, make_stored_rig

NAMES = ("a/one", "a/two", "b/one")  # the second owner says the same under the same name
TEXTS = ("x", "hello", "hello you there")
TERSE = (
    "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
    "<|im_start|>"
)
OPTIONS: dict[str, Any] = {"template": TERSE, "choose": endless, "system_prompt": "be kind"}
MAX_REPLY = 9
MAX_DEPTH = 3  # whose prompt, with a draft behind it, never fills three quarters of the context

# One turn as the oracle runs it: the message, and for each part of the reply (the first, and each
# time it was continued) the most tokens, and after how many of them it was stopped, if it was.
Part = tuple[int, int | None]
Turn = tuple[str, tuple[Part, ...]]


@cache
def from_scratch(turns: tuple[Turn, ...]) -> str:
    """The last reply of a conversation of these turns, alone in a rig of its own."""
    rig = make_rig(num_blocks=256, **OPTIONS)
    for message, parts in turns:
        for number, (max_tokens, stopped_at) in enumerate(parts):
            params = SamplingParams(temperature=0, max_tokens=max_tokens)
            asked = rig.begin_more(params=params) if number else rig.begin(message, params=params)
            while stopped_at is None or rig.core.replies.num_tokens < stopped_at:
                if asked.over:
                    break
                rig.core.step()
            asked.request.cancelled = True
            rig.core.step()
            rig.core.replies.num_tokens = 0
    return rig.session().messages[-1].content


@dataclass
class Running:
    """A turn under way. before: the parts of the reply that it continues; said: their text."""

    asked: Asked
    message: str
    max_tokens: int
    before: tuple[Part, ...] = ()
    said: str = ""


class Life(RuleBasedStateMachine):
    """One program with its files, over several starts."""

    folder: Path
    rig: Rig

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.said: dict[tuple[str, int], Turn] = {}  # by conversation and id of the reply
        self.running: dict[str, Running] = {}

    @initialize(num_blocks=st.sampled_from([38, 44, 80]), num_states=st.sampled_from([0, 0, 9, 40]))
    def start(self, num_blocks: int, num_states: int) -> None:
        self.num_blocks, self.num_states = num_blocks, num_states
        self.rig = self.a_start()

    def a_start(self) -> Rig:
        rig = make_stored_rig(
            self.folder, num_blocks=self.num_blocks, num_states=self.num_states, **OPTIONS
        )
        rig.tiers.saving._slice_blocks = 2  # a copy takes several steps
        return rig

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.finish()
            self.check()
            self.rig.stop()
        shutil.rmtree(self.folder)

    names = st.sampled_from(NAMES)

    @rule(name=names, text=st.sampled_from(TEXTS), max_tokens=st.sampled_from([1, 5, 9]))
    def submit(self, name: str, text: str, max_tokens: int) -> None:
        self.begin(name, text, max_tokens, None)

    @rule(name=names, text=st.sampled_from(TEXTS), turns=st.integers(0, 4))
    def fork(self, name: str, text: str, turns: int) -> None:
        """An edited message, or the same again: a reply made anew."""
        messages = self.rig.session(name).messages
        self.begin(name, text, 5, min(turns * 2, len(messages)))

    def begin(self, name: str, text: str, max_tokens: int, keep: int | None) -> None:
        depth = len(self.rig.session(name).messages) if keep is None else keep
        if name in self.running or depth // 2 >= MAX_DEPTH:
            return
        params = SamplingParams(temperature=0, max_tokens=max_tokens)
        request = TurnRequest(_id(name), text, params, lambda _: None, keep)
        self.running[name] = Running(self.rig.submit(request), text, max_tokens)
        self.settle()

    @rule(name=names)
    def regenerate(self, name: str) -> None:
        """The last question once more."""
        messages = self.rig.session(name).messages
        if len(messages) > 1:
            self.begin(name, messages[-2].content, 5, len(messages) - 2)

    @rule(name=names, max_tokens=st.sampled_from([1, 4]))
    def more(self, name: str, max_tokens: int) -> None:
        """The last reply goes on, up to the longest that a reply is."""
        path = self.rig.session(name).kept(None)
        if name in self.running or not path:
            return
        message, parts = self.said[name, path[-1].id]
        if sum(most for most, _ in parts) + max_tokens > MAX_REPLY:
            return
        asked = self.rig.begin_more(name, SamplingParams(temperature=0, max_tokens=max_tokens))
        self.running[name] = Running(asked, message, max_tokens, parts, path[-1].content)
        self.settle()

    @rule(count=st.integers(1, 12))
    def steps(self, count: int) -> None:
        for _ in range(count):
            self.rig.step()
        self.settle()

    @rule(name=names)
    def cancel(self, name: str) -> None:
        if name in self.running:
            self.running[name].asked.request.cancelled = True
            self.rig.step()
            self.settle()
            assert name not in self.running

    @rule(count=st.integers(1, 40))
    def spill(self, count: int) -> None:
        self.rig.tiers.reclaim(count)

    @rule()
    def wait_for_the_disk(self) -> None:
        self.rig.wait_for_disk()

    @rule(count=st.integers(1, 6))
    def idle(self, count: int) -> None:
        for _ in range(count):
            if not self.rig.core.has_work:
                self.rig.core.parts.idle.step()

    @rule()
    def save(self) -> None:
        self.rig.tiers.saving.step()

    @rule(name=names, text=st.sampled_from(TEXTS))
    def draft(self, name: str, text: str) -> None:
        setting = TurnRequest(None, "", SamplingParams(), lambda _: None).setting
        self.rig.core.draft(self.rig.session(name), text, setting)

    @rule(name=names, turns=st.integers(0, 3))
    def truncate(self, name: str, turns: int) -> None:
        if name not in self.running:
            path = self.rig.session(name).kept(None)[: turns * 2]
            self.rig.core.show(self.rig.session(name), path[-1].id if path else None)

    @rule(name=names, pick=st.integers(0, 20))
    def switch(self, name: str, pick: int) -> None:
        nodes = sorted(self.rig.session(name).conversation.nodes)
        if nodes and name not in self.running:
            self.rig.show(nodes[pick % len(nodes)], name)

    @rule(name=names)
    def evict(self, name: str) -> None:
        self.rig.core.evict(self.rig.session(name))

    @rule(name=names)
    def release(self, name: str) -> None:
        """Leave, and come back: from the files."""
        if session := self.rig.home.sessions.remove(_id(name)):
            self.rig.core.release(session)
            self.settle(session)

    @rule()
    def restart(self) -> None:
        sessions = {name: self.rig.session(name) for name in NAMES}
        self.rig.core.cancel_all()
        self.settle()
        shown = {name: session.messages for name, session in sessions.items()}
        self.rig.stop()
        assert self.rig.tiers.disk is not None
        self.rig.tiers.disk._writer.shutdown()
        self.rig = self.a_start()
        assert {name: self.rig.session(name).messages for name in NAMES} == shown

    @rule()  # always: which turns still run depends on the disk's thread, and no choice may
    def finish(self) -> None:
        self.rig.run(20_000)
        self.settle()
        assert not self.running

    def settle(self, released: Any = None) -> None:
        """Compare the replies that have ended, and check everything."""
        self.rig.home.journal.flush(10)  # their ends are told once they are stored
        for name, running in list(self.running.items()):
            if running.asked.over:
                del self.running[name]
                session = self.rig.session(name) if released is None else released
                self.compare(name, session, running)
        self.check()

    def compare(self, name: str, session: Any, running: Running) -> None:
        asked = running.asked
        cut = asked.figures.generated_tokens if asked.reason is FinishReason.CANCELLED else None
        path = [node.id for node in session.conversation.path(session.conversation.head)]
        if not asked.text and (name, path[-1] if path else 0) in self.said:
            return  # cancelled while its KV was read: nothing was said
        if not path or session.conversation.nodes[path[-2]].content != running.message:
            assert cut == 0
            return
        parts = (*running.before, (running.max_tokens, cut))
        self.said[name, path[-1]] = (running.message, parts)
        turns = tuple(self.said[name, node_id] for node_id in path[1::2])
        assert running.said + asked.text == from_scratch(turns)
        assert session.messages[-1].content == running.said + asked.text

    def check(self) -> None:
        self.rig.check()
        operator = set(self.rig.core.parts.opening.prefixes.operator.block_table)
        held: dict[str, set[int]] = {"a": set(), "b": set()}
        for session, _, branch in self.rig.home.sessions.branches():
            assert session.id is not None
            held[session.id.owner] |= set(branch.sequence.block_table) - operator
        assert not held["a"] & held["b"], "no block is shared between owners"
        assert self.rig.pool.num_used <= self.num_blocks


def _id(name: str) -> SessionId:
    owner, _, conversation = name.partition("/")
    return SessionId(owner, conversation)


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
