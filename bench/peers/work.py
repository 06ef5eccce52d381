"""What the peers are asked to do, interleaved: turn by turn, one peer at work at a time.

Owns: sizes, and the order of things. Does not know what is made of the samples. The texts of a round
are the same for every peer, and nobody has seen them before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from bench.conversation import text_of
from bench.peers.child import Answer
from bench.peers.ratios import Samples
from bench.peers.seats import Seat, attempt, in_turns
from engine.text import Tokenizer

SHORT_REPLY = 16


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done. Tokens are the model's own."""

    rounds: int = 2
    turns: int = 10
    message_tokens: int = 40
    reply_tokens: int = 128
    people: tuple[int, ...] = (1, 4, 8, 16)
    crowd_turns: int = 3
    crowd_reply_tokens: int = 64
    conversations: int = 8
    conversation_tokens: int = 1500
    long_tokens: int = 2000


@dataclass(slots=True)
class Table:
    """The peers, what they are given to read, and what came of it."""

    seats: Sequence[Seat]
    tokenizer: Tokenizer
    sizes: Sizes
    conversation: Samples = field(default_factory=Samples)
    crowd: Samples = field(default_factory=Samples)
    switch: Samples = field(default_factory=Samples)
    edit: Samples = field(default_factory=Samples)
    regenerate: Samples = field(default_factory=Samples)
    restart: Samples = field(default_factory=Samples)

    def text(self, num_tokens: int | None = None) -> str:
        """A text that nobody has seen before."""
        return text_of(self.tokenizer, num_tokens or self.sizes.message_tokens)


def all_work(table: Table) -> Iterator[str]:
    """Everything, in rounds; yields the name of what is about to be done."""
    yield "reading the conversations to switch between"
    fill_conversations(table)
    for which in range(table.sizes.rounds):
        for work in (converse, meet, switch, edit):
            yield f"round {which + 1}: {work.__name__}"
            work(table, which)
    # At the end: where one driver does all, a restart would empty its memory before the next round.
    for which in range(table.sizes.rounds):
        yield f"round {which + 1}: restart"
        restart(table, which)


def converse(table: Table, which: int) -> None:
    """(a) One conversation, turn by turn."""
    for turn in range(table.sizes.turns):
        text, name = table.text(), f"conversation {which}"
        say = partial(Seat.say, conversation=name, text=text, max_tokens=table.sizes.reply_tokens)
        for seat in in_turns(table.seats, which + turn):
            table.conversation.add(which, turn + 1, seat.name, attempt(seat, say))


def meet(table: Table, which: int) -> None:
    """(b) Several people at once."""
    sizes = table.sizes
    for people in sizes.people:
        said = [[table.text() for _ in range(sizes.crowd_turns)] for _ in range(people)]
        crowd = partial(Seat.crowd, people=said, max_tokens=sizes.crowd_reply_tokens)
        for seat in in_turns(table.seats, which + people):
            if which == 0 or not seat.peer.is_slow:
                table.crowd.add(which, people, seat.name, attempt(seat, crowd))


def fill_conversations(table: Table) -> None:
    """Let every peer read the conversations of (c)."""
    for i in range(table.sizes.conversations):
        text = table.text(table.sizes.conversation_tokens - SHORT_REPLY - 32)
        for seat in table.seats:
            attempt(seat, partial(_among_many, number=i, text=text))


def switch(table: Table, which: int) -> None:
    """(c) Round the conversations, a turn in each."""
    for i in range(table.sizes.conversations):
        text = table.text()
        for seat in in_turns(table.seats, which + i):
            answer = attempt(seat, partial(_among_many, number=i, text=text))
            table.switch.add(which, i, seat.name, answer)


def _among_many(seat: Seat, number: int, text: str) -> Answer:
    return seat.say_among_many(f"one of many {number}", text, SHORT_REPLY)


def edit(table: Table, which: int) -> None:
    """(d) A long conversation's second message is edited, and its reply made anew."""
    name = f"edited {which}"
    long = [table.text(table.sizes.long_tokens // 4 - SHORT_REPLY - 8) for _ in range(4)]
    text = table.text()

    def read(seat: Seat) -> None:
        for said in long:
            seat.say(name, said, SHORT_REPLY)

    anew = partial(Seat.say, conversation=name, text=text, max_tokens=SHORT_REPLY, keep=2)
    for seat in in_turns(table.seats, which):
        attempt(seat, read)
        table.edit.add(which, 0, seat.name, attempt(seat, anew))
        table.regenerate.add(which, 0, seat.name, attempt(seat, anew))


def restart(table: Table, which: int) -> None:
    """(e) The first turn of a long conversation after its program has ended and started again."""
    name, long = f"restarted {which}", table.text(table.sizes.long_tokens - SHORT_REPLY - 32)
    text = table.text()

    def go_on(seat: Seat) -> Answer:
        seat.say(name, long, SHORT_REPLY)
        seat.restart()
        return seat.say(name, text, SHORT_REPLY)

    for seat in in_turns(table.seats, which):
        table.restart.add(which, 0, seat.name, attempt(seat, go_on))
