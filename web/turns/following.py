"""A turn that runs by itself, and those who follow it.

Owns: the task that takes a turn from its first frame to its last whoever reads it, and its newest frame,
which is all that a follower who comes late needs. Does not know pages, or which turn is whose.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from web.turns.frames import Frame
from web.turns.live_turn import LiveTurn

log = logging.getLogger(__name__)


class RunningTurn:
    """A turn under way, for one event loop. over: called once, when nothing of it runs any more.

    latest: its newest frame. was_seen: whether somebody followed it when its last frame came.
    """

    def __init__(self, turn: LiveTurn, over: Callable[["RunningTurn"], None]) -> None:
        self.turn = turn
        self.latest: Frame | None = None
        self.followers: set[Follower] = set()
        self.was_seen = True
        self.error: Exception | None = None
        self.is_over = False
        self.num_frames = 0
        self._over = over
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    @property
    def is_answering(self) -> bool:
        """Whether more is to come of it."""
        return not self.is_over and not (self.latest is not None and self.latest.is_last)

    @property
    def news(self) -> asyncio.Event:
        """Is set with the next frame, the end, or when a follower leaves."""
        return self._news

    def wake(self) -> None:
        """Let all followers look at what is new."""
        self._news.set()
        self._news = asyncio.Event()

    async def _run(self) -> None:
        try:
            async with aclosing(self.turn.frames()) as frames:
                async for frame in frames:
                    self.latest = frame
                    self.num_frames += 1
                    if frame.is_last:
                        self.was_seen = bool(self.followers)
                    self.wake()
        except Exception as error:
            self.error = error
            log.exception("A turn failed")
        finally:
            self.is_over = True
            self._over(self)
            self.wake()


class Follower:
    """One reader of a turn: sees the newest frame whenever there is one, until the last or until it leaves."""

    def __init__(self, running: RunningTurn) -> None:
        self.running = running
        self.is_read = False
        self._has_left = False
        running.followers.add(self)

    @property
    def is_waiting(self) -> bool:
        """Whether more of the turn is to come to this reader."""
        return not self._has_left and self.running.is_answering

    def leave(self) -> None:
        """Nothing more of the turn is shown to this reader; it goes on."""
        self._has_left = True
        self.running.followers.discard(self)
        self.running.wake()

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """The newest frame and those that come. Raises what the turn failed with."""
        self.is_read, num_seen, running = True, 0, self.running
        try:
            while not self._has_left:
                news = running.news
                if running.num_frames > num_seen and (frame := running.latest) is not None:
                    num_seen = running.num_frames
                    yield frame
                    if frame.is_last:
                        return
                elif running.is_over:
                    if running.error is not None:
                        raise running.error
                    return
                else:
                    await news.wait()
        finally:
            running.followers.discard(self)
