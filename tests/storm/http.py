"""Random and mutated requests over every route of the scripted server, with and without sign-in.

The oracle: no answer of 500, no traceback in the log, the server takes turns to the end, and the conversation
of somebody else is as it was and seen by nobody, though its ids are known. A run is bounded, and its seed
gives the same requests again.
"""

import argparse
import asyncio
import contextlib
import io
import itertools
import json
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from gradio import components

from engine import SessionId
from tests.scripted.app import ScriptedApp, serving
from web import identity

SECRET = "the harbour at dawn, which nobody else may read"
_READ_BYTES, _READ_S = 100_000, 2.0  # of a stream that never ends
_SHOWN = 40  # faults that are printed
_API = "/gradio_api/"
_WILD: list[Any] = [
    None, True, -1, 0, 1.5, 1e308, 10**30, "", "x", "\0", "\ud800", "../../etc/passwd", "<b>x</b>",
    "é" * 300, [], {}, [[]], {"path": "/etc/passwd"}, {"text": 1, "files": [{"path": "x"}]},
    {"__type__": "update"}, {"text": "Hi", "files": "x"}, {"seed": 1.5}, [{"role": "user"}],
]  # fmt: skip
_WORDS = [
    "x",
    "undefined",
    "-1",
    "99999",
    "\0",
    "../..",
    "chat",
    "status",
    "a" * 500,
    "日本",
    "1;2",
]
_TYPES = ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
          "multipart/form-data; boundary=b", "application/json; charset=utf-16", ""]  # fmt: skip

Asked = tuple[str, str, dict[str, Any]]  # a method, a path, and what httpx takes beside them


@dataclass
class Storm:
    """The requests of one run over one server. known: ids of somebody else."""

    app: ScriptedApp
    dice: random.Random
    known: dict[str, str]
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._routes = sorted({*_routes(self.app.gradio.routes)} - {("GET", "/logout")})
        self._functions = dict(self.app.gradio.blocks.fns)

    def blow(self, client: httpx.Client, requests: int) -> None:
        """Send so many, and note what the oracle objects to."""
        for number in range(requests):
            route, (method, path, options) = self._request()
            try:
                status, said = _answer(client, method, path, options)
            except httpx.ReadTimeout:
                status, said = 0, ""  # a stream that has nothing to say
            except httpx.HTTPError as error:
                status, said = 599, f"{type(error).__name__}: {error}"
            self.counts[f"{method} {route} {status}"] += 1
            shown = f"{number}: {method} {path[:80]} {str(options)[:300]}: {said[:200]}"
            if status >= 500 or SECRET in said:
                self.faults.append(shown)

    def _request(self) -> tuple[str, Asked]:
        method, route = self.dice.choice(self._routes)
        if self.dice.random() < 0.5:
            method, route = (
                "POST",
                _API + self.dice.choice(["run/{name}", "queue/join", "call/{name}"]),
            )
        path = re.sub(r"\{[^}]*\}", lambda _: quote(self._word(), safe="/"), route)
        if self.dice.random() < 0.3:
            path += "?" + "&".join(
                f"{name}={quote(self._word())}"
                for name in ("session_hash", "upload_id", "c", "ticket", "page")
            )
        if method != "POST":
            return route, (method, path, {"headers": self._headers()})
        if route.startswith((_API + "run", _API + "api", _API + "call", _API + "queue")):
            return route, self._call(path)
        return route, (method, path, self._body())

    def _call(self, path: str) -> Asked:
        """A call of an event or an endpoint; often with values as they should be, but for one."""
        index, function = self.dice.choice(list(self._functions.items()))
        values = [self._value(block) for block in function.inputs]
        if values and self.dice.random() < 0.5:
            values[self.dice.randrange(len(values))] = self.dice.choice(_WILD)
        if self.dice.random() < 0.1:
            values = values[:-1] if self.dice.random() < 0.5 else [*values, None]
        body: dict[str, Any] = {"data": values, "session_hash": self._word(), "fn_index": index}
        if self.dice.random() < 0.5:
            body["event_data"] = self._event_data()
        if self.dice.random() < 0.2:
            body[self.dice.choice(["data", "session_hash", "fn_index", "event_id", "trigger_id",
                                   "batched", "simple_format"])] = self.dice.choice(_WILD)  # fmt: skip
        if path.startswith((_API + "run", _API + "call")) and self.dice.random() < 0.8:
            path = f"{path.rpartition('/')[0]}/{function.api_name}"
        return "POST", path, {"content": json.dumps(body), "headers": {"content-type": _TYPES[0]}}

    def _value(self, block: Any) -> Any:
        """What the component may be given."""
        own = {"owner": "x" * 32, "conversation": "y" * 32}
        kinds: dict[type, list[Any]] = {
            components.BrowserState: [own, self.known, {**own, "conversation": self.known["conversation"]}],
            components.Textbox: ["", "Hello", None, self.known["conversation"]],
            components.Slider: [0, 1, 20, 0.5],
            components.Number: [-1, 7],
            components.Checkbox: [True, False],
            components.Chatbot: [[], [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]],
            components.State: [None],
        }  # fmt: skip
        return self.dice.choice(kinds.get(type(block), [None, "x", self._word()]))

    def _event_data(self) -> Any:
        act = self.dice.choice(
            ["open", "delete", "rename", "pin", "version", "like", "add", "remove"]
        )
        told = {"act": act, "id": self.known["conversation"], "text": self.dice.choice(["1", "name"]),
                "index": self.dice.choice([0, [0, 0], "x"]), "value": self.dice.choice(_WILD),
                "form": "json", "files": self.dice.choice(_WILD)}  # fmt: skip
        return self.dice.choice([told, *_WILD])

    def _body(self) -> dict[str, Any]:
        kind = self.dice.choice(_TYPES)
        names = [
            "session_hash",
            "event_id",
            "fn_index",
            "data",
            "component_id",
            "fn_name",
            "username",
            "ticket",
        ]
        body = {name: self.dice.choice([*_WILD, self._word()]) for name in names}
        form = "&".join(f"{n}={quote(str(v), errors='replace')}" for n, v in body.items()).encode()
        part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a\x00/../b"\r\n\r\nx\r\n--b--'
        content = self.dice.choice(
            [json.dumps(body).encode(), form, part, b"\xff" * 100, b"", b"[" * 5000]
        )
        return {"content": content, "headers": self._headers() | {"content-type": kind}}

    def _headers(self) -> dict[str, str]:
        language = self.dice.choice(["zh-TW", "en;q=x", ",,,;q="])
        cookie = self.dice.choice(["a=b", "warmchat-language=fr", ";;=", 'x="'])
        span = self.dice.choice(["bytes=0-5", "bytes=9-1", "bytes=x-"])
        few = {"accept-language": language, "x-other": cookie, "range": span}
        return {name: value for name, value in few.items() if self.dice.random() < 0.3}

    def _word(self) -> str:
        return self.dice.choice([*_WORDS, *self.known.values()])


def _routes(routes: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every method and path of Gradio's application and of ours."""
    for route in routes:
        inner = getattr(route, "original_router", route)
        if below := getattr(inner, "routes", None):
            yield from _routes(below)
        elif path := getattr(route, "path", None):
            yield from ((method, path) for method in getattr(route, "methods", None) or ())


def _answer(
    client: httpx.Client, method: str, path: str, options: dict[str, Any]
) -> tuple[int, str]:
    """The status and the beginning of what is said; a stream is left after a while."""
    said = b""
    with client.stream(method, path, **options) as response, contextlib.suppress(httpx.ReadTimeout):
        for piece in response.iter_bytes():
            said += piece
            if len(said) > _READ_BYTES or b"ALIVE" in piece:
                break
    return response.status_code, said.decode("utf-8", "replace")


def _victim(app: ScriptedApp, owner: str | None) -> SessionId:
    """Somebody with a conversation."""
    session = SessionId(**identity.mint(owner))

    async def talk() -> None:
        async for _ in app.engine.chat(session, SECRET):
            pass

    app.engine.open_session(session)
    asyncio.run(talk())
    return session


def _run(seed: int, requests: int, *options: str) -> Storm:
    """One server, and one visitor who means no good; with options, one who is signed in."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), *options) as app:
        victim = _victim(app, "user:anna" if options else None)
        before = app.engine.messages(victim)
        known = {"owner": "user:anna" if options else "z" * 32, "conversation": victim.conversation}
        storm = Storm(app, random.Random(seed), known)
        with httpx.Client(base_url=app.url, timeout=_READ_S) as client:
            client.get("/")
            if options:
                form = {"username": "bert", "password": "secret"}
                assert client.post("/login", data=form).status_code == 200
            storm.blow(client, requests)
        if app.engine.messages(victim) != before or app.engine.status != "ready":
            storm.faults.append("the other one's conversation is another, or the engine has ended")
        if httpx.get(f"{app.url}/healthz", timeout=60).status_code != 200:
            storm.faults.append("the server is not well")
        return storm


def _tracebacks(log: str) -> Iterator[str]:
    """The ends of those in a log, each up to the line that names the error."""
    for traced in log.split("Traceback (most recent call last):\n")[1:]:
        lines = list(itertools.takewhile(lambda line: line.startswith(" "), traced.splitlines()))
        error = traced.splitlines()[len(lines) : len(lines) + 1]
        yield " ".join(" ".join([*lines, *error]).split())[-600:]


def main(arguments: list[str]) -> int:
    """Run the storm; prints counts by route and status, and exits with 1 if there are faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm http", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    log = io.StringIO()
    with contextlib.redirect_stderr(log), contextlib.redirect_stdout(io.StringIO()):
        storms = {
            "open": _run(given.seed, given.requests // 2),
            "signed in": _run(given.seed, given.requests // 2, "--auth", "bert:secret"),
        }
    faults = [f"{name}: {fault}" for name, storm in storms.items() for fault in storm.faults]
    faults = [f"in the log: {trace}" for trace in _tracebacks(log.getvalue())] + faults
    counts = {name: dict(sorted(storm.counts.items())) for name, storm in storms.items()}
    report = {
        "seed": given.seed,
        "counts": counts,
        "num_faults": len(faults),
        "faults": faults[:_SHOWN],
    }
    sys.stdout.write(json.dumps(report, indent=1, ensure_ascii=True) + "\n")
    return 1 if faults else 0
