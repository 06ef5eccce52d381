"""An engine that stands still, which nothing within this process can end: the program begins anew.

Owns: how long is too long, and how often is too often. What was said is stored by then, and KV within
seconds of each turn; open pages come back by themselves, at the same address.
"""

import contextlib
import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping

from web.startup import Startup

log = logging.getLogger(__name__)

STANDS_STILL_S = 300.0  # a step takes seconds, even on a machine that swaps
PERIOD_S = 5.0
MAX_RESTARTS, WINDOW_S = 3, 3600.0
_FLUSH_S = 5.0
_VARIABLE = "WARMCHAT_STARTED_AGAIN_AT"  # seconds since 1970, of each time


def wait(over: threading.Event, startup: Startup) -> bool:
    """Until `over`, which is True; False as soon as the engine stands still."""
    while not over.wait(min(PERIOD_S, STANDS_STILL_S)):
        if startup.engine is not None and startup.engine.stands_still_s > STANDS_STILL_S:
            return False
    return True


def restarts(environ: Mapping[str, str]) -> int:
    """How often the program has begun anew within the last hour."""
    return len(_times(environ))


def start_again(startup: Startup) -> None:
    """Replace the program by itself; returns only if it has been done too often."""
    log.error("The engine stands still; where each thread is:")
    faulthandler.dump_traceback(all_threads=True)
    times = _times(os.environ)
    if len(times) >= MAX_RESTARTS:
        log.error("It stood still %d times within an hour; the program ends.", len(times) + 1)
        return
    if startup.engine is not None:
        with contextlib.suppress(TimeoutError):
            startup.engine.flush(_FLUSH_S)
    os.environ[_VARIABLE] = " ".join(str(int(at)) for at in [*times, time.time()])
    logging.shutdown()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  the same command again


def _times(environ: Mapping[str, str]) -> list[float]:
    said = environ.get(_VARIABLE, "").split()
    times = [float(at) for at in said if at.isdecimal()]
    return [at for at in times if 0 <= time.time() - at < WINDOW_S]
