"""A whole EngineCore over the fake model, and what tests do with it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from engine.block_pool import BlockPool
from engine.chat_template import ChatTemplate, Message
from engine.config import EngineConfig
from engine.core import EngineCore
from engine.engine import Loader
from engine.errors import EngineError
from engine.events import Event, Finished, FinishReason, Text
from engine.journal import Journal
from engine.loading import Home, ModelInfo, assemble
from engine.metrics import TurnFigures
from engine.pace import Pace
from engine.prompt import PromptBuilder, Setting
from engine.runner import Runner
from engine.sampling import SamplingParams
from engine.scheduler import Scheduler
from engine.sequence import Sequence
from engine.session import Branch, Session, SessionId, SessionTable
from engine.store import Store
from engine.tiers import Disk, Tiers
from engine.tokenizer import Tokenizer
from engine.turn import TurnRequest
from engine.warm_up import WarmUp
from tests.engine.fakes import CHATML, EOS, Choose, FakeModel, FakeTokenizer, babble

GREEDY = SamplingParams(temperature=0, max_tokens=40)


@dataclass
class Asked:
    """A request and what came of it."""

    request: TurnRequest
    events: list[Event | EngineError] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], Finished)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def end(self) -> Finished:
        ends = [event for event in self.events if isinstance(event, Finished)]
        assert len(ends) == 1, "a turn ends exactly once"
        assert self.events[-1] is ends[0], "nothing comes after the end"
        return ends[0]

    @property
    def reason(self) -> FinishReason:
        return self.end.reason

    @property
    def figures(self) -> TurnFigures:
        return self.end.figures


@dataclass
class Rig:
    """The parts of a core, with everything that a test wants to look at."""

    core: EngineCore
    model: FakeModel
    tokenizer: FakeTokenizer
    home: Home
    context_length: int
    asked: list[Asked] = field(default_factory=list)

    @property
    def pool(self) -> BlockPool:
        return self.core.parts.pool

    @property
    def block_size(self) -> int:
        return self.pool.block_size

    @property
    def scheduler(self) -> Scheduler:
        return self.core.parts.scheduler

    def session(self, name: str = "one") -> Session:
        return self.home.sessions.open(_id(name))

    def sequence(self, name: str = "one") -> Sequence:
        return self.session(name).active.sequence

    def tokens(self, name: str = "one") -> list[int]:
        """The tokens of what was said, without what is prefilled ahead."""
        branch = self.session(name).active
        if branch.is_idle:
            return branch.sequence.tokens[: branch.ledger.num_tokens]
        return branch.sequence.tokens

    def rest(self, max_steps: int = 3000) -> None:
        """Do all idle work there is, without waiting for the moment to save."""
        for _ in range(max_steps):
            if self.core.parts.idle.is_warm:
                return
            self.core.parts.idle.step()
        raise AssertionError("idle work does not end")

    def begin(
        self,
        message: str,
        name: str = "one",
        params: SamplingParams = GREEDY,
        *,
        keep: int | None = None,
        system: str | None = None,
        **template_options: Any,
    ) -> Asked:
        self.session(name)
        setting = Setting(system, template_options)
        return self.submit(TurnRequest(_id(name), message, params, _nobody, keep, setting))

    def submit(self, request: TurnRequest) -> Asked:
        asked = Asked(request)
        request.emit = asked.events.append
        self.core.begin(request)
        self.asked.append(asked)
        return asked

    def run(self, max_steps: int = 3000) -> None:
        for _ in range(max_steps):
            if not self.core.has_work:
                return
            self.core.step()
        raise AssertionError(f"still not done after {max_steps} steps")

    def chat(
        self,
        message: str,
        name: str = "one",
        params: SamplingParams = GREEDY,
        **options: Any,
    ) -> Asked:
        """A whole turn, alone or beside what runs already."""
        asked = self.begin(message, name, params, **options)
        while not asked.finished:
            self.core.step()
        return asked

    def check(self) -> None:
        """Everything that holds between two steps, whatever happened before."""
        self.core.check_integrity()
        for _, _, branch in self.home.sessions.branches():
            if branch.is_idle:
                assert branch.ledger.num_tokens <= len(branch.sequence.tokens)
                check_spelling(branch, self.tokenizer)


def check_spelling(branch: Branch, tokenizer: FakeTokenizer) -> None:
    """Each segment's text is what its tokens say."""
    begin = 0
    for segment in branch.ledger.segments:
        tokens = branch.sequence.tokens[begin : begin + segment.num_tokens]
        begin += segment.num_tokens
        if segment.ends is None:
            assert tokens == tokenizer.encode(segment.text)
        else:
            assert tokenizer.escape_reply(tokenizer.decode(tokens)) == segment.text


def make_rig(
    *,
    num_blocks: int = 64,
    block_size: int = 4,
    context_length: int | None = None,
    choose: Choose = babble,
    template: str | None = CHATML,
    max_num_sequences: int = 8,
    max_num_batched_tokens: int = 32,
    max_prefill_beside_decode: int = 8,
    system_prompt: str | None = None,
    home: Home | None = None,
    disk: Disk | None = None,
    warm_up_shapes: tuple[tuple[int, ...], ...] = (),
) -> Rig:
    context_length = min(context_length or 1 << 20, num_blocks * block_size)
    home = home or make_home()
    pool, model, tokenizer = (
        BlockPool(num_blocks, block_size),
        FakeModel(num_blocks, block_size),
        FakeTokenizer(),
    )
    model.choose = choose
    chat_template = None if template is None else ChatTemplate(template, {})
    compiled = cast(Tokenizer, tokenizer)
    runner = Runner(model, model.copy_block)
    tiers = Tiers(
        pool=pool,
        storage=model,
        sessions=home.sessions,
        forward=runner.run,
        pace=Pace(),
        block_bytes=16 * block_size,
        disk=disk,
        wake=home.wake,
    )
    core = assemble(
        EngineConfig(
            model_dir=Path("nowhere"),
            max_num_sequences=max_num_sequences,
            max_num_batched_tokens=max_num_batched_tokens,
            max_prefill_beside_decode=max_prefill_beside_decode,
        ),
        home,
        runner=runner,
        tiers=tiers,
        prompts=PromptBuilder(compiled, chat_template, context_length, system_prompt),
        tokenizer=compiled,
        eos_token_ids=frozenset({EOS}),
        context_length=context_length,
        warm_up=WarmUp(runner.run, pool, warm_up_shapes),
    )
    return Rig(core, model, tokenizer, home, context_length)


def make_home(store: Store | None = None) -> Home:
    journal = Journal(store)
    return Home(SessionTable(journal.load), journal, lambda: None)


def make_loader(made: list[Rig], **options: Any) -> Loader:
    """A loader for Engine that puts the rig it makes into `made`."""

    def load(_config: EngineConfig, home: Home) -> tuple[EngineCore, ModelInfo]:
        rig = make_rig(home=home, **options)
        made.append(rig)
        info = ModelInfo(
            name="fake",
            context_length=rig.context_length,
            has_chat_template=True,
            kv_precision="f32",
            kv_block_bytes=1,
            num_blocks=rig.pool.num_blocks,
            block_size=rig.block_size,
            num_threads=1,
        )
        return rig.core, info

    return load


def config() -> EngineConfig:
    return EngineConfig(model_dir=Path("nowhere"))


def user(content: str) -> Message:
    return Message("user", content)


def assistant(content: str) -> Message:
    return Message("assistant", content)


def session_id(name: str = "one") -> SessionId:
    return _id(name)


def _id(name: str) -> SessionId:
    return SessionId("owner", name)


def _nobody(_event: Event | EngineError) -> None:
    raise AssertionError("the request has no listener yet")
