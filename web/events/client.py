"""The chat for programs: the endpoints that gradio_client calls by name.

Owns: their signatures, and the text that names a conversation: OWNER.CONVERSATION, or only the second
part for who signed in. Whatever goes wrong is raised as a sentence. Does not know the page.
"""

import hashlib
import hmac
import itertools
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any

import gradio as gr
from gradio.events import api

from engine import SamplingParams, SessionId
from engine.config import require
from engine.errors import ConfigError
from engine.events import FinishReason
from web import identity, view
from web.languages import say, spoken, translated
from web.startup import Startup
from web.turns import Frame, Request, Turns

Settings = dict[str, Any]
Message = str | dict[str, Any]
Reader = Callable[[Message, str], Awaitable[str]]

_SECRET = secrets.token_bytes()  # of this run of the program


class Client:
    """The functions behind the endpoints. read: makes one message of text and files."""

    def __init__(self, startup: Startup, turns: Turns, read: Reader) -> None:
        self._startup = startup
        self._read_message = read
        self._turns = turns
        self._numbers = itertools.count()

    def connect(self, places: dict[str, Any]) -> None:
        """Make the endpoints, in the Blocks that is open. places: what turns share."""
        answers: Any = self.chat
        api(answers, api_name="chat", **places)
        api(self.new_conversation, api_name="new_conversation", queue=False)
        api(self.figures, api_name="figures", queue=False)

    def new_conversation(self, request: gr.Request) -> str:
        """The id of a conversation that nobody else knows. Keep it: it also works tomorrow."""
        ids = identity.mint(identity.user_owner(request.username))
        return identity.to_text(SessionId(**ids), request.username)

    async def chat(
        self,
        message: Message,
        request: gr.Request,
        conversation: str | None = "",
        settings: Settings | None = None,
    ) -> AsyncGenerator[str, None]:
        """Say `message` in a conversation; yields the reply as far as it has come.

        message: text, or {"text": ..., "files": [handle_file(...)]}.
        conversation: an id of new_conversation; without one (or null), this client's own until it ends.
        settings: of the sampling (temperature, max_tokens, ...), system_prompt and thinking.
        """
        language = spoken(request.headers)
        session_id = self._session_id(conversation, request)
        _check(message, (str, dict), "call_not_message", "message", language)
        _check(settings or {}, dict, "call_not_settings", "settings", language)
        system, thinking, params = self._read(settings or {}, language)
        try:
            text = await self._read_message(message, language)
        except ValueError as refusal:
            raise gr.Error(str(refusal), print_exception=False) from None
        asked = Request(session_id, text, None, system, params, thinking)
        # A turn of another page: two calls in one conversation must not end each other.
        page = f"{request.session_hash}/{next(self._numbers)}"
        async with aclosing(self._turns.run(page, asked, goes_on=False)) as frames:
            async for frame in frames:
                _raise_refusal(frame, language)
                yield frame.text

    def figures(self, request: gr.Request, conversation: str | None = "") -> dict[str, Any]:
        """What the last answer of a conversation cost; empty where none is remembered."""
        figures = self._turns.figures(self._session_id(conversation, request))
        if not figures:
            return {}
        return {**asdict(figures[-1]), "tokens_per_s": figures[-1].tokens_per_s}

    def _session_id(self, conversation: Any, request: gr.Request) -> SessionId:
        if conversation is None or conversation == "":
            return _own_session(str(request.session_hash), request.username)
        session_id = identity.from_text(conversation, request.username)
        if session_id is None:
            raise gr.Error(say(spoken(request.headers), "no_conversation"), print_exception=False)
        return session_id

    def _read(self, settings: Settings, language: str) -> tuple[str | None, bool, SamplingParams]:
        try:
            rest = {name: _json_value(value) for name, value in dict(settings).items()}
            system, thinking = rest.pop("system_prompt", None), rest.pop("thinking", False)
            is_text, is_choice = isinstance(system, str), isinstance(thinking, bool)
            require(system is None or is_text, say(language, "call_not_text", name="system_prompt"))
            require(is_choice, say(language, "call_not_truth", name="thinking"))
            if isinstance(rest.get("stop"), str):
                rest["stop"] = (rest["stop"],)
            return system or None, thinking, replace(self._startup.options.sampling, **rest)
        except (ConfigError, TypeError, ValueError) as error:
            sentence = say(language, "bad_setting", reason=translated(error, language))
            raise gr.Error(sentence, print_exception=False) from None


def _check(value: Any, kinds: Any, key: str, name: str, language: str) -> None:
    if not isinstance(value, kinds):
        raise gr.Error(say(language, key, name=name), print_exception=False)


def _json_value(value: Any) -> Any:
    """What JSON spells in several ways: whole numbers with a point, one stop string or a list."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return tuple(value) if isinstance(value, list) else value


def _raise_refusal(frame: Frame, language: str) -> None:
    sentence = view.refusal(frame, language)
    if frame.finished is not None and frame.finished.reason is FinishReason.ERROR:
        sentence = translated(frame.finished.error or "", language) or say(language, "surprise")
    if sentence is not None:
        raise gr.Error(sentence, print_exception=False)


def _own_session(session_hash: str, username: str | None) -> SessionId:
    """A conversation that only this client has, without anything to remember about it."""

    def token(purpose: str) -> str:
        text = f"{purpose}/{session_hash}".encode()
        return hmac.new(_SECRET, text, hashlib.sha256).hexdigest()[:48]

    return SessionId(identity.user_owner(username) or token("owner"), token("conversation"))
