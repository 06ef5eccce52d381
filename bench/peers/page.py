"""(g) Many people through the real page, and the same people at the bare engine.

The page is app.py in a process of its own, asked over HTTP by as many gradio clients as there are
people; the engine is the driver `ours`. Both answer the same messages with the same system prompt and
end where the model ends; tokens are counted in the texts. Reading the streams costs the clients
some of the same two cores, which a real room of browsers would not. The clients do not load the
certificates of all authorities for each of their requests, as they would: the page is plain HTTP.
"""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from gradio_client import Client

from bench.peers.child import OURS, Child
from bench.peers.llamacpp import free_port
from bench.peers.seats import Given
from bench.peers.work import Sizes
from engine.text import Tokenizer
from export.catalog import CATALOG

START_S = 120
QUIET_S = 30
THINGS = ("rain", "bread", "a lake", "trains", "the moon", "an old house", "a market", "winter",
          "a garden", "the sea", "a library", "music", "a bridge", "honey", "a school", "maps")  # fmt: skip


def messages(people: int, turns: int, which: int) -> list[list[str]]:
    """What each person says; different in each round."""
    return [
        [f"Tell story {which}.{turn} about {THINGS[i % len(THINGS)]}." for turn in range(turns)]
        for i in range(people)
    ]


class Page:
    """The running page and its visitors."""

    def __init__(self, url: str, people: int) -> None:
        self._clients = [Client(url, verbose=False, ssl_verify=False) for _ in range(people)]

    def crowd(self, people: list[list[str]], max_tokens: int) -> tuple[list[str], float]:
        """All at once: their replies, and the seconds from the first request to the last token."""

        def person(client: Client, said: list[str]) -> list[str]:
            conversation = client.predict(api_name="/new_conversation")
            sampling = {"temperature": 0, "max_tokens": max_tokens}
            return [
                str(client.predict(text, conversation, sampling, api_name="/chat")) for text in said
            ]

        began_at = time.perf_counter()
        with ThreadPoolExecutor(len(people)) as threads:
            replies = [text for one in threads.map(person, self._clients, people) for text in one]
        return replies, time.perf_counter() - began_at


def _cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / 100


def _wait_quiet(pid: int) -> None:
    """Wait until the page has done what it does while people read."""
    for _ in range(QUIET_S):
        before = _cpu_s(pid)
        time.sleep(1)
        if _cpu_s(pid) - before < 0.1:
            return


@contextmanager
def _running_page(given: Given, folder: Path) -> Iterator[tuple[str, int]]:
    port = free_port()
    command = [sys.executable, "app.py", "--model", str(given.model), "--port", str(port)]
    command += ["--data-dir", str(folder), "--threads", str(given.threads)]
    command += ["--precision", given.precision]
    with (folder / "page.log").open("wb") as log:
        app = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_ready(url, app)
        yield url, app.pid
    finally:
        app.terminate()
        app.wait(30)


def _wait_ready(url: str, app: "subprocess.Popen[bytes]") -> None:
    give_up_at = time.monotonic() + START_S
    while time.monotonic() < give_up_at:
        if app.poll() is not None:
            raise RuntimeError(f"app.py ended with status {app.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    raise TimeoutError("the page did not become ready")


def _start_bare(given: Given, folder: Path) -> Child:
    child = Child(sys.executable, OURS.crowd, folder / "engine.log")
    entry = CATALOG.get(given.model.name)
    child.ask(
        "start",
        model=str(given.model),
        threads=given.threads,
        folder=str(folder / "engine"),
        precision=given.precision,
        system_prompt=entry.system_prompt if entry else None,
        is_endless=False,
    )
    return child


def measure(given: Given, sizes: Sizes, tell: Callable[[str], None]) -> dict[str, Any]:
    """Tokens per second of both, in rounds, and the page's share."""
    people, tokenizer = max(sizes.people), Tokenizer(given.model)
    through_page, bare_engine = [], []
    with (
        TemporaryDirectory() as name,
        _running_page(given, Path(name)) as (url, pid),
    ):
        bare, page = _start_bare(given, Path(name)), Page(url, people)
        # The first turn of all pays for what is made once.
        page.crowd(messages(people, 1, 0), 4)
        for which in range(1, sizes.rounds + 1):
            tell(f"the page, round {which}")
            said = messages(people, sizes.crowd_turns, which)
            _wait_quiet(pid)
            replies, wall_s = page.crowd(said, sizes.crowd_reply_tokens)
            through_page.append(_num_tokens(tokenizer, replies) / wall_s)
            _wait_quiet(pid)
            answer = bare.ask("crowd", people=said, max_tokens=sizes.crowd_reply_tokens)
            bare_engine.append(_num_tokens(tokenizer, answer["texts"]) / answer["wall_s"])
        bare.close()
    shares = [page / bare for page, bare in zip(through_page, bare_engine, strict=True)]
    return {
        "people": people,
        "page_tokens_per_s": round(median(through_page), 1),
        "engine_tokens_per_s": round(median(bare_engine), 1),
        "page_share": round(median(shares), 3),
    }


def _num_tokens(tokenizer: Tokenizer, texts: list[str]) -> int:
    assert all(texts), "somebody was not answered"
    return sum(len(tokenizer.encode(text)) for text in texts)
