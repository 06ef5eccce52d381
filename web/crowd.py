"""How many events the server works on at once, so that turns never take the places of short ones.

Owns: the number of Gradio's places. A turn holds one from its question to its end, waiting included; a
click needs one for a moment. So turns have places of their own, as many as the engine lets run and wait,
with some for those that it refuses; the others are left to clicks. Knows Gradio 6.31.0's queue.
"""

from typing import Any

from web.options import Options

ANSWERS_AT_ONCE = 16
_REFUSED = 8  # turns that are being told that the server is busy
_SHORT = 64  # clicks that are being answered
_MOST = 4096  # more turns wait in Gradio's own queue, where they are told nothing yet


def most_asking(options: Options) -> int:
    """Turns that may run or wait for it."""
    return ANSWERS_AT_ONCE + options.max_queue


def for_turns(options: Options) -> dict[str, Any]:
    """What each event says that is a turn: all of them share their places."""
    places = min(most_asking(options) + _REFUSED, _MOST)
    return {"concurrency_id": "turns", "concurrency_limit": places}


def for_followers(options: Options) -> dict[str, Any]:
    """What each event says that goes on with an answer which its page has come upon; they wait for no turn."""
    return for_turns(options) | {"concurrency_id": "followers"}


def make_room(demo: Any, options: Options) -> None:
    """Places in the queue of `demo`: for turns, for those who follow them elsewhere, and for clicks."""
    queue = demo._queue
    if not hasattr(queue, "max_thread_count"):
        raise RuntimeError("Gradio's queue has no max_thread_count any more; see web/crowd.py.")
    queue.max_thread_count = 2 * for_turns(options)["concurrency_limit"] + _SHORT
