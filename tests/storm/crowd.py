"""`python -m tests.storm crowd`: many ask at once and again and again, while others click.

Each client asks, and asks again a little after it was answered or told that the server is busy. Beside
them some pages press New chat, open a conversation and reset the settings, one after the other, and
somebody asks for /healthz. In the end one page asks alone. The server is a process of its own over the
scripted engine, which ends `ANSWERS_PER_S` answers a second. Prints one JSON object; exit status 1 if anybody was
neither answered nor told, or a click or /healthz took `PATIENCE_S` or more.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import random
import resource
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.scripted import End, Say
from tests.storm.visitor import Asked, Visitor, visiting
from web.crowd import ANSWERS_AT_ONCE

Act = Callable[[], Awaitable[Any]]

PATIENCE_S = 1.0
ANSWERS_PER_S = 10
WORDS_PER_S = 10
CLICKERS = 4
HEALTH_EVERY_S, CLICK_EVERY_S = 0.2, 0.3
COME_BACK_S = (0.5, 2.0)
LAST_ANSWERS_S = 60.0  # how long those who wait when the storm ends may have to


def main(argv: Sequence[str] | None = None) -> int:
    """Run the storm; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm crowd", description=__doc__)
    parser.add_argument("--clients", type=int, default=200, help="who ask at once")
    parser.add_argument("--seconds", type=float, default=20, help="how long they go on")
    parser.add_argument("--max-queue", type=int, default=32, help="the server's option")
    options = parser.parse_args(argv)
    _allow_connections()
    with _process(_serve, options.max_queue) as server:
        url = server.recv()
        with _process(_crowd, url, options.clients, options.seconds) as crowd:
            crowd.recv()  # they have come
            figures: dict[str, Any] = asyncio.run(_beside(url, options.seconds)) | crowd.recv()
        figures["afterwards"] = asyncio.run(_alone(url))
    print(json.dumps({"clients": options.clients, "max_queue": options.max_queue} | figures))
    slowest = max(figures["slowest_click_s"], figures["slowest_healthz_s"])
    lost = figures["untold"] + figures["failed"] + (figures["afterwards"] != "answered")
    return 1 if lost or slowest >= PATIENCE_S else 0


@contextmanager
def _process(run: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """A process that runs beside; it ends when nobody listens to it any more."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=run, args=(theirs, *arguments))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join()


def _allow_connections() -> None:
    """As many as the machine allows, here and in the server, which inherits it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _serve(parent: Connection, max_queue: int) -> None:
    """The server's process, until the parent lets go of it."""
    from tests.scripted.app import serving  # Gradio, which the parent does not need

    options, over = ["--max-queue", str(max_queue)], threading.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), *options, max_num_sequences=ANSWERS_AT_ONCE) as app,
    ):
        app.script.holds = True
        answering = threading.Thread(target=_answer, args=(app.script, over))
        answering.start()
        parent.send(app.url)
        with suppress(EOFError):
            parent.recv()
        over.set()
        answering.join()


def _answer(script: Any, over: threading.Event) -> None:
    """Everybody whose turn runs gets a word, and the oldest turn ends."""
    for beat in itertools.count():
        if over.wait(1 / max(WORDS_PER_S, ANSWERS_PER_S)):
            return
        if beat % max(1, ANSWERS_PER_S // WORDS_PER_S) == 0:
            script.tell(Say(" word"), first=ANSWERS_AT_ONCE)
        script.tell(End(), first=1)


def _crowd(parent: Connection, url: str, number: int, seconds: float) -> None:
    """The process of those who ask; the others' clicks are timed elsewhere, since these keep it busy."""
    parent.send(asyncio.run(_asking(parent, url, number, seconds)))


async def _asking(parent: Connection, url: str, number: int, seconds: float) -> dict[str, int]:
    asked: list[Asked] = []
    async with visiting(url, number) as visitors:
        parent.send("here")
        until = time.monotonic() + seconds
        tasks = [asyncio.create_task(_ask(visitor, until, asked)) for visitor in visitors]
        await asyncio.wait(tasks, timeout=seconds + LAST_ANSWERS_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    outcomes = Counter(each.outcome or "untold" for each in asked)
    told_their_place = sum(bool(each.places) for each in asked)
    counts = {name: outcomes[name] for name in ("answered", "busy", "failed", "untold")}
    return {"asked": len(asked), **counts, "told_their_place": told_their_place}


async def _beside(url: str, seconds: float) -> dict[str, Any]:
    """What others do meanwhile, and how long it took."""
    clicks: list[float] = []
    health: list[float] = []
    async with visiting(url, CLICKERS + 1) as (prober, *clicking):
        until = time.monotonic() + seconds
        probes = _repeat(itertools.repeat(prober.health), until, HEALTH_EVERY_S, health)
        await asyncio.gather(probes, *(_click(each, until, clicks) for each in clicking))
    return {
        "clicks": len(clicks),
        "slowest_click_s": round(max(clicks), 3),
        "healthz": len(health),
        "slowest_healthz_s": round(max(health), 3),
    }


async def _alone(url: str) -> str | None:
    async with visiting(url, 1) as (visitor,):
        asked = Asked()
        await visitor.ask("Is it quiet again?", asked)
    return asked.outcome


async def _ask(visitor: Visitor, until: float, asked: list[Asked]) -> None:
    while time.monotonic() < until:
        asked.append(Asked())
        await visitor.ask("How are you?", asked[-1])
        await asyncio.sleep(random.uniform(*COME_BACK_S))


async def _click(visitor: Visitor, until: float, took: list[float]) -> None:
    first = visitor.ids["conversation"]
    acts = itertools.cycle(
        [visitor.start_anew, lambda: visitor.open(first), visitor.reset_settings]
    )
    await _repeat(acts, until, CLICK_EVERY_S, took)


async def _repeat(acts: Iterator[Act], until: float, every_s: float, took: list[float]) -> None:
    while time.monotonic() < until:
        began = time.monotonic()
        await next(acts)()
        took.append(time.monotonic() - began)
        await asyncio.sleep(every_s)
