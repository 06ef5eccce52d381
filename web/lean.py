"""What Gradio 6.31.0 does more often than this page needs, done less often.

Statistics over all events are made anew, in pandas, at the end of each (nobody sees them: monitoring
is off); two loops look for work a thousand and a hundred times a second; around each update
matplotlib is looked for on the disk, though it is not installed; and for each page that opens all
components are described anew, which keeps everybody else waiting for 25 ms (only links to the state of a
page need it, and there are none). Does not know the page.
"""

import os
import sys
from importlib.util import find_spec
from typing import Any

LOOK_S = 0.005  # how often the queue looks for new events: what one waits at most
PROGRESS_S = 0.5  # there are no progress bars


def before_import() -> None:
    """Settings that Gradio reads when it is imported, or when a queue is made."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)  # events from summary to summary
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"
    if "matplotlib" not in sys.modules and find_spec("matplotlib") is None:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]  # as Python has it: not there


def calm(demo: Any) -> None:
    """Let `demo` do less for each page and each moment; before the first page opens."""
    _calm_queue(demo._queue)
    _calm_pages(demo.default_config)


def _calm_queue(queue: Any) -> None:
    for name, seconds in {
        "sleep_when_free": LOOK_S,
        "progress_update_sleep_when_free": PROGRESS_S,
    }.items():
        if not hasattr(queue, name):
            raise RuntimeError(f"Gradio's queue has no {name} any more; see web/lean.py.")
        setattr(queue, name, seconds)


def _calm_pages(config: Any) -> None:
    kind = type(config)
    if not hasattr(kind, "__copy__") or not hasattr(kind, "config_for_block"):
        raise RuntimeError("Gradio makes the components of a page otherwise now; see web/lean.py.")

    def copied(original: Any) -> Any:
        page = kind.__copy__(original)
        page.config_for_block = lambda *_: {}
        return page

    config.__class__ = type(kind.__name__, (kind,), {"__copy__": copied})
