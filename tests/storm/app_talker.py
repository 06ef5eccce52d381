"""Three programs that talk with the server at random over HTTP, until it is gone; the other side of `served`.

    python -m tests.storm.app_talker FOLDER SEED

Starts the server and says, as the talker does, its process and what the programs were told: how an answer ended
no program is told, so that it was "over". Last comes {"ended": status of the server}.
"""

import itertools
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

import httpx

from tests.scripted.app import free_port
from tests.storm.talker import AT_ONCE, tell

OWNER = "o" * 32
NAMES = [f"{OWNER}/{letter * 32}" for letter in "abcdef"]
LONGEST_S = 6.0  # of a life: a call takes a while
_CALL = "/gradio_api/call/chat"
_LOOK_S, _PATIENCE_S = 0.05, 120.0


def main() -> None:
    """Talk until the server is gone."""
    folder, seed = sys.argv[1], int(sys.argv[2])
    port = free_port()
    command = [sys.executable, "-m", "tests.storm.served", folder, f"{port}"]
    server = subprocess.Popen(command, stdout=sys.stderr)
    url = f"http://127.0.0.1:{port}"
    _wait_ready(server, url)
    tell(began=server.pid)
    free: SimpleQueue[str] = SimpleQueue()
    for name in random.Random(seed).sample(NAMES, len(NAMES)):
        free.put(name)
    numbers = itertools.count()
    people = [
        threading.Thread(
            target=_talk, args=(url, free, numbers, random.Random(f"{seed} {i}"), seed)
        )
        for i in range(AT_ONCE)
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    tell(ended=server.wait())


def _wait_ready(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/healthz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(_LOOK_S)


def _talk(
    url: str, free: SimpleQueue[str], numbers: Iterator[int], dice: random.Random, seed: int
) -> None:
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        while True:
            name = free.get()
            message = f"{seed}.{next(numbers)} {'x' * dice.randrange(40)}"
            try:
                _turn(client, name, message, dice.choice([1, 8, 60]))
            except httpx.TransportError:
                return  # it is gone
            finally:
                free.put(name)


def _turn(client: httpx.Client, name: str, message: str, max_tokens: int) -> None:
    settings = {"temperature": 0, "max_tokens": max_tokens}
    tell(asked=[name, message])
    asked = client.post(_CALL, json={"data": [message, name.replace("/", "."), settings]})
    if asked.status_code != 200:  # it is about to end
        return
    text, event = "", ""
    with client.stream("GET", f"{_CALL}/{asked.json()['event_id']}") as told:
        for line in told.iter_lines():
            kind, _, value = line.partition(": ")
            if kind == "event":
                event = value
            elif kind == "data" and event == "generating":
                (whole,) = json.loads(value)
                tell(said=[name, message], text=whole.removeprefix(text))
                text = whole
            elif kind == "data" and event == "complete":
                tell(over=[name, message], reason="over")


if __name__ == "__main__":
    main()
