"""A peer at the table: its driver processes, what was said in its conversations, its peak memory.

Owns: histories (each peer has its own replies) and restarts. Does not know figures. A peer that fails
keeps what it did until then, and `absent` says why there is no more of it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.peers.child import Answer, Child, Peer, PeerAbsent
from bench.peers.line import Messages


@dataclass(frozen=True, slots=True)
class Given:
    """What every driver is given. precision: our engine's option; the peers use their defaults."""

    model: Path
    gguf: Path
    threads: int
    precision: str = "auto"


@dataclass(slots=True, eq=False)
class Seat:
    """One peer's processes. `chat` and `crowd` are the same one where a peer does both in one."""

    peer: Peer
    given: Given
    folder: Path
    absent: str | None = None
    about: list[Answer] = field(default_factory=list)
    peak_bytes: int = 0
    _children: dict[tuple[str, ...], Child] = field(default_factory=dict)
    _histories: dict[str, Messages] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The peer's."""
        return self.peer.name

    def sit_down(self) -> None:
        """Start the drivers, and let each say something, so that its first shapes are made."""
        for command in dict.fromkeys((self.peer.chat, self.peer.crowd)):
            self.about.append(self._start(command))

    def say(self, conversation: str, text: str, max_tokens: int, keep: int | None = None) -> Answer:
        """A turn behind the first `keep` messages (None: all), by the driver for conversations."""
        return self._say(self.peer.chat, conversation, text, max_tokens, keep)

    def say_among_many(self, conversation: str, text: str, max_tokens: int) -> Answer:
        """The same by the driver for many."""
        return self._say(self.peer.crowd, conversation, text, max_tokens, None)

    def crowd(self, people: list[list[str]], max_tokens: int) -> Answer:
        """All at once."""
        return self._children[self.peer.crowd].ask("crowd", people=people, max_tokens=max_tokens)

    def restart(self) -> None:
        """End the driver for conversations and start it again, with the same folder."""
        self._end(self.peer.chat)
        self._start(self.peer.chat)

    def get_up(self) -> None:
        """End the drivers."""
        for command in list(self._children):
            self._end(command)

    def _say(
        self, command: tuple[str, ...], name: str, text: str, max_tokens: int, keep: int | None
    ) -> Answer:
        messages = [*self._histories.get(name, [])[:keep], {"role": "user", "content": text}]
        answer = self._children[command].ask(
            "turn", conversation=name, messages=messages, max_tokens=max_tokens
        )
        assert answer["tokens"] == max_tokens, f"{self.name} said {answer['tokens']} tokens"
        self._histories[name] = [*messages, {"role": "assistant", "content": answer["text"]}]
        return answer

    def _start(self, command: tuple[str, ...]) -> Answer:
        python = self.peer.python()
        child = Child(python, command, self.folder / f"{self.name}.log")
        self._children[command] = child
        about = child.ask(
            "start",
            model=str(self.given.model),
            gguf=str(self.given.gguf),
            threads=self.given.threads,
            folder=str(self.folder),
            precision=self.given.precision,
        )
        hello = [{"role": "user", "content": "Hello."}]
        child.ask("turn", conversation="hello", messages=hello, max_tokens=4)
        return about

    def _end(self, command: tuple[str, ...]) -> None:
        child = self._children.pop(command)
        try:
            self.peak_bytes = max(self.peak_bytes, child.ask("peak")["bytes"])
        except PeerAbsent:
            self.absent = self.absent or "it ended before its memory was read"
        child.close()


def attempt(seat: Seat, act: Callable[[Seat], Answer | None]) -> Answer | None:
    """What the peer answers; None, with the reason kept, where it cannot."""
    if seat.absent is not None:
        return None
    try:
        return act(seat)
    except (PeerAbsent, AssertionError) as error:
        seat.absent = str(error)
        print(f"{seat.name}: {error}", flush=True)
        return None


def in_turns(seats: Sequence[Seat], which: int) -> list[Seat]:
    """The seats in order, each time beginning with another one."""
    first = which % len(seats)
    return [*seats[first:], *seats[:first]]


@contextmanager
def seated(peers: Sequence[Peer], given: Given) -> Iterator[list[Seat]]:
    """All peers, started; those that are not there are absent."""
    with ExitStack() as stack:
        seats = []
        for peer in peers:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            seat = Seat(peer, given, folder)
            stack.callback(seat.get_up)
            attempt(seat, Seat.sit_down)
            seats.append(seat)
        yield seats
