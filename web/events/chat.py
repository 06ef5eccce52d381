"""The functions behind the chat's events.

Owns: what a message, Stop and Undo ask of the turns, in the language of their page. Does not know the
layout (web.page.ui), how a turn runs (web.turns.live_turn) or looks (web.view.view).
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import gradio as gr

from engine import SamplingParams, SessionId
from engine.errors import ConfigError, EngineError
from web import identity, view
from web.events.composing import Composing
from web.events.warning import warn
from web.languages import say, spoken, translated
from web.options import tokens_at_most
from web.startup import Startup
from web.turns import Continuation, Frame, PageMessage, Request, Turns


class Chat:
    """The chats of all pages. `ids` is what the browser stores."""

    def __init__(self, startup: Startup, turns: Turns, composing: Composing) -> None:
        self._startup = startup
        self._turns = turns
        self._composing = composing

    async def answer(  # noqa: PLR0917  (Gradio passes the inputs by position)
        self,
        message: Any,
        history: list[PageMessage] | None,
        ids: Any,
        system_prompt: str,
        max_tokens: float,
        temperature: float,
        top_p: float,
        top_k: float,
        seed: float | None,
        min_p: float,
        repetition_penalty: float,
        presence_penalty: float,
        frequency_penalty: float,
        stop: str,
        _draft: bool,
        thinking: bool,
        request: gr.Request,
    ) -> AsyncGenerator[Any, None]:
        """Answer `message` behind `history`, in the conversation that `ids` names; yields that.

        message: text, or {"text": ..., "files": [...]}, or what the page's box made of these, or a
        Continuation.
        """
        language, session_id = spoken(request.headers), identity.session_id(ids, request.username)
        is_stopped = self._turns.arrives(str(request.session_hash))
        continues = isinstance(message, Continuation)
        try:
            message = "" if continues else await self._composing.read(message, language)
        except ValueError as error:
            yield self._refusal("", history, str(error), language)
            return
        if session_id is None:
            yield self._refusal(message, history, say(language, "no_identity"), language)
            return
        try:
            params = SamplingParams(
                max_tokens=tokens_at_most(int(max_tokens)),
                temperature=float(temperature),
                top_p=float(top_p),
                top_k=int(top_k),
                seed=None if seed is None or seed < 0 else int(seed),
                min_p=float(min_p),
                repetition_penalty=float(repetition_penalty),
                presence_penalty=float(presence_penalty),
                frequency_penalty=float(frequency_penalty),
                stop=tuple(line for line in (stop or "").splitlines() if line),
            )
        except (ConfigError, TypeError, ValueError) as error:
            sentence = say(language, "bad_setting", reason=translated(error, language))
            yield self._refusal(message, history, sentence, language)
            return
        asked = Request(
            session_id,
            message,
            history,
            (system_prompt or "").strip() or None,
            params,
            thinking,
            continues,
        )
        frames = self._turns.run(str(request.session_hash), asked, is_stopped=is_stopped)
        async with aclosing(self._shown(frames, session_id, language)) as shown:
            async for conversation in shown:
                yield conversation

    async def follow(self, ids: Any, request: gr.Request) -> AsyncGenerator[Any, None]:
        """Go on with the answer under way that the page has come upon; yields the conversation."""
        session_id = identity.session_id(ids, request.username)
        page = str(request.session_hash)
        if session_id is None or not self._turns.has_come_upon(page):
            return
        frames = self._turns.follow(page)
        async with aclosing(self._shown(frames, session_id, spoken(request.headers))) as shown:
            async for conversation in shown:
                yield conversation

    async def _shown(
        self, frames: AsyncGenerator[Frame, None], session_id: SessionId, language: str
    ) -> AsyncGenerator[Any, None]:
        is_over, key = False, view.control_key(session_id.owner)
        kept: tuple[Any, bool] | None = None  # it stays the same from frame to frame
        before: list[PageMessage] = []
        async with aclosing(frames):
            async for frame in frames:
                is_over = frame.is_last
                if kept is None or kept[0] is not frame.kept or kept[1] != is_over:
                    kept = frame.kept, is_over
                    before = view.conversation(frame.kept, language, key=key, is_over=is_over)
                yield [*before, *view.turn(frame, self._startup, language, key=key)]
        if not is_over:
            # The page shows something else by now; Gradio sends what was yielded last once more.
            yield gr.skip()

    def asked(self, request: gr.Request) -> None:
        """The page has asked for an answer, in a step of its own before `answer`."""
        self._turns.expect(str(request.session_hash))

    def is_answering(self, request: gr.Request) -> bool:
        """Whether the page shows an answer that is being written."""
        return self._turns.is_running(str(request.session_hash))

    def stop(self, request: gr.Request) -> None:
        """Stop the answer that the page shows."""
        self._turns.stop(str(request.session_hash))

    async def undo(
        self, ids: Any, history: list[PageMessage], event: gr.UndoData, request: gr.Request
    ) -> None:
        """Take the last message back, in the engine too."""
        if session_id := identity.session_id(ids, request.username):
            page = str(request.session_hash)
            index = event.index[0] if isinstance(event.index, (list, tuple)) else event.index
            self._composing.give_back(page, event.value)
            try:
                await self._turns.undo(page, session_id, history[:index])
            except EngineError as error:
                warn(error, request)

    def _refusal(
        self, message: str, history: list[PageMessage] | None, sentence: str, language: str
    ) -> list[PageMessage]:
        refused = Frame((), message, refused=sentence)
        return [*(history or ()), *view.turn(refused, self._startup, language)]
