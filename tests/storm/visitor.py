"""A page without a browser: it asks the server what Gradio's page asks, over httpx, one thing at a time.

Which function an event calls is read out of the page's configuration, as the browser does it.
"""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from web.languages import say

_BUSY = say("en", "busy")
_NEXT = say("en", "queued")
_BEHIND = re.compile(say("en", "queued_behind", ahead=r"(\d+)"))


class Layout:
    """The page's components and events, by names."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._components = {item["id"]: item for item in config["components"]}
        self._events = {item["id"]: item for item in config["dependencies"]}

    def event(self, elem_id: str, name: str) -> int:
        """The event `name` of the component with that id."""
        (component,) = (
            i for i, c in self._components.items() if c["props"].get("elem_id") == elem_id
        )
        found = [e["id"] for e in self._events.values() if [component, name] in e["targets"]]
        return int(found[0])

    def named(self, api_name: str) -> int:
        """The event of that function."""
        return next(int(i) for i, event in self._events.items() if event["api_name"] == api_name)

    def after(self, event: int, api_name: str) -> int:
        """The one of that function that follows `event`."""
        following = [e for e in self._events.values() if e["trigger_after"] == event]
        return next(int(e["id"]) for e in following if e["api_name"].startswith(api_name))

    def inputs(self, event: int, ids: Any, **texts: str) -> list[Any]:
        """What the page sends of itself: `ids`, texts by elem_id, and all else as it stood at first."""
        sent = [self._components[i] for i in self._events[event]["inputs"]]
        return [self._value(component, ids, texts) for component in sent]

    def _value(self, component: dict[str, Any], ids: Any, texts: dict[str, str]) -> Any:
        if component["type"] in {"state", "browserstate"}:
            return ids if component["type"] == "browserstate" else None
        props = component["props"]
        nothing = {"textbox": "", "chatbot": []}.get(component["type"])
        value = props.get("value")
        return texts.get(props.get("elem_id"), nothing if value is None else value)


@dataclass(slots=True)
class Asked:
    """What came of a question. places: in the queue, as told; outcome: None until it is over.

    told: set once there is text, a place in the queue, or a refusal.
    """

    text: str = ""
    places: list[int] = field(default_factory=list)
    outcome: Literal["answered", "busy", "failed"] | None = None
    told: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def visiting(url: str, number: int) -> AsyncIterator[list["Visitor"]]:
    """So many pages that have opened, one after the other."""
    async with AsyncExitStack() as stack:
        # A client for each: one for all of them looks through all of its connections at every request.
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, timeout=None, trust_env=False, verify=False)
            )
            for _ in range(number)
        ]
        config = await clients[0].get("/config")
        layout = Layout(config.raise_for_status().json())
        visitors = [Visitor(client, layout) for client in clients]
        for visitor in visitors:
            await visitor.arrive()
        yield visitors


class Visitor:
    """One page. reply: what an answer has in it."""

    def __init__(self, client: httpx.AsyncClient, layout: Layout, reply: str = "You said") -> None:
        self.layout = layout
        self.ids: Any = None
        self._client, self._reply = client, reply
        self._session = uuid.uuid4().hex

    async def arrive(self) -> None:
        """Open the page."""
        self.ids = (await self._direct(self.layout.named("load")))[0]

    async def ask(self, text: str, asked: Asked) -> None:
        """Send a message, and watch its answer until it is over."""
        sending = self.layout.event("message", "submit")
        await self._direct(sending, message=text)
        async for message in self._queued(self.layout.after(sending, "answer")):
            _note(asked, json.dumps(message.get("output")), self._reply)
            if message["msg"] == "process_completed" and not message["success"]:
                asked.outcome = "failed"
        asked.outcome = asked.outcome or ("answered" if asked.text else "failed")
        asked.told.set()

    async def start_anew(self) -> None:
        """Press New chat."""
        click = {"act": "anew"}
        self.ids = (await self._click(self.layout.event("shelf", "click"), click))[0]

    async def open(self, conversation: str) -> None:
        """Choose a conversation of the list."""
        click = {"act": "open", "id": conversation}
        await self._click(self.layout.event("shelf", "click"), click)

    async def reset_settings(self) -> None:
        """Press the button of the settings."""
        await self._direct(self.layout.event("reset-settings", "click"))

    async def health(self) -> int:
        """The status of /healthz."""
        return (await self._client.get("/healthz")).status_code

    async def _click(self, event: int, data: Any = None) -> list[Any]:
        async for message in self._queued(event, data):
            if message["msg"] == "process_completed":
                assert message["success"], message
                return list(message["output"]["data"])
        raise AssertionError("the stream ended before the click was answered")

    async def _direct(self, event: int, **texts: str) -> list[Any]:
        body = self._body(event, None, texts)
        answer = await self._client.post("/gradio_api/run/predict", json=body)
        return list(answer.raise_for_status().json()["data"])

    async def _queued(self, event: int, data: Any = None) -> AsyncIterator[dict[str, Any]]:
        joined = await self._client.post("/gradio_api/queue/join", json=self._body(event, data, {}))
        joined.raise_for_status()
        parameters = {"session_hash": self._session}
        async with self._client.stream("GET", "/gradio_api/queue/data", params=parameters) as told:
            async for line in told.aiter_lines():
                if line.startswith("data:"):
                    message = json.loads(line.removeprefix("data:"))
                    yield message
                    if message["msg"] == "close_stream":
                        return

    def _body(self, event: int, data: Any, texts: dict[str, str]) -> dict[str, Any]:
        inputs = self.layout.inputs(event, self.ids, **texts)
        return {
            "data": inputs, "fn_index": event, "session_hash": self._session, "event_data": data,
        }  # fmt: skip


def _note(asked: Asked, shown: str, reply: str) -> None:
    if _BUSY in shown:
        asked.outcome = "busy"
    if reply in shown:
        asked.text = reply
    if _NEXT in shown:
        asked.places.append(0)
    asked.places += [int(place) for place in _BEHIND.findall(shown)]
    if asked.outcome or asked.text or asked.places:
        asked.told.set()
