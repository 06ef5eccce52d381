"""What Gradio has to tell each page, until the page has read it.

Owns: how many pages it is kept for, and which is forgotten first: one that has read everything. Gradio by itself
forgets the oldest, in the middle of an answer too, and stumbles over one that has gone. Knows Gradio 6.31.0's queue.
"""

from collections import OrderedDict
from typing import Any

import gradio as gr
from gradio.queueing import Queue

MOST_PAGES = 2000


def keep_mail(demo: gr.Blocks, most: int = MOST_PAGES) -> None:
    """Let the queue of `demo` keep it so. Before it serves."""
    queue = demo._queue
    queue.pending_messages_per_session = _Mailboxes(queue, most)  # type: ignore[assignment]
    queue.pending_event_ids_session = _Unread()


class _Mailboxes(OrderedDict[str, Any]):
    """Queues of messages by session_hash, oldest first. What is told to a page that has gone is told to nobody."""

    def __init__(self, queue: Queue, most: int) -> None:
        super().__init__()
        self._queue, self._most = queue, most

    def __setitem__(self, page: str, box: Any) -> None:
        if page not in self and len(self) >= self._most:
            self._forget_one()
        super().__setitem__(page, box)

    def __getitem__(self, page: str) -> Any:
        return super().__getitem__(page) if page in self else _Nobody()

    def __delitem__(self, page: str) -> None:
        if page in self:  # two streams of one page end
            super().__delitem__(page)

    def _forget_one(self) -> None:
        unread = self._queue.pending_event_ids_session
        running = {event.session_hash for event in self._queue.event_ids_to_events.values()}
        found = next((page for page in self if not unread.get(page)), None)
        found = found or next((page for page in self if page not in running), None)
        if found is not None:
            del self[found]
            unread.pop(found, None)


class _Nobody:
    def put_nowait(self, message: Any) -> None:
        """Drop it."""


class _Unread(dict[str, set[str]]):
    """Ids of events by session_hash; a page that has gone has none."""

    def __missing__(self, page: str) -> set[str]:
        return set()
