"""What there is to show of a turn at one moment, and the figures of the replies already given.

Values, and one bounded store. Does not know Gradio, languages, or how a turn is run.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine import Message, SessionId, events

_SESSIONS_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Preparing:
    """The engine does not take turns yet: the model is being exported or loaded."""


Progress = Preparing | events.Queued | events.Prefilling


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment of a turn.

    kept: the conversation before it. progress: why there is no text yet. finished: the last event.
    refused: a sentence, when the turn was not taken.
    """

    kept: tuple[Message, ...]
    message: str
    text: str = ""
    progress: Progress | None = None
    finished: events.Finished | None = None
    refused: str | None = None

    @property
    def is_last(self) -> bool:
        """Whether nothing more will come of this turn."""
        return self.finished is not None or self.refused is not None

    def after(self, event: events.Event) -> "Frame":
        """The frame once `event` has come."""
        match event:
            case events.Text(text=text):
                return replace(self, text=self.text + text, progress=None)
            case events.Finished():
                return replace(self, finished=event, progress=None)
            case _:
                return replace(self, progress=event)


Endings = Mapping[int, events.Finished]


@dataclass(slots=True)
class EndingLog:
    """How each reply ended, by session and index of the reply, for pages that are loaded anew."""

    _endings: OrderedDict[SessionId, dict[int, events.Finished]] = field(
        default_factory=OrderedDict
    )

    def of(self, session_id: SessionId) -> Endings:
        """The endings known of this session."""
        return self._endings.get(session_id, {})

    def truncate(self, session_id: SessionId, keep: int) -> None:
        """Forget the endings of messages beyond the first `keep`."""
        known = self._endings.get(session_id, {})
        for index in [index for index in known if index >= keep]:
            del known[index]

    def add(self, session_id: SessionId, index: int, ending: events.Finished) -> None:
        """Remember how the reply at `index` ended; the longest untouched session is forgotten."""
        self._endings.setdefault(session_id, {})[index] = ending
        self._endings.move_to_end(session_id)
        if len(self._endings) > _SESSIONS_REMEMBERED:
            self._endings.popitem(last=False)

    def forget(self, session_id: SessionId) -> None:
        """Drop a session that was closed."""
        self._endings.pop(session_id, None)
