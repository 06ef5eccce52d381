"""What is being written and not sent yet: the words in the box, and the files beside it.

Owns: the functions behind the events of the text box, of the button for files and of their chips.
Does not know the layout (web.page.ui), how files are read, nor what becomes of a message once it is sent.
"""

import contextlib
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from engine import SessionId
from web import identity, view
from web.files import Attaching, Said, read_page, uploads_in
from web.languages import spoken
from web.startup import Startup
from web.turns import Drafts, Turns, text_of

Sign = tuple[str, Any]  # HTML, and a timer that asks again

DRAFT_S = 0.5  # between two looks at how much of a draft is prefilled


class Composing:
    """Drafts and attached files of all pages. `ids` is what the browser stores."""

    def __init__(self, startup: Startup, turns: Turns) -> None:
        self._turns = turns
        self._drafts = Drafts(startup)
        self._drafted: dict[str, tuple[Any, ...]] = {}  # of each page, what was read ahead last
        self._attaching = Attaching(startup, Path(get_upload_folder()))

    async def draft(  # noqa: PLR0917  (Gradio passes the inputs by position)
        self,
        text: str | None,
        ids: Any,
        is_on: bool,
        system_prompt: str,
        thinking: bool,
        request: gr.Request,
    ) -> Sign:
        """Prefill what is being typed, behind the files that go with it, and say how far that is.

        text: None while the page is opening and its box is not there yet. What is written during an
        answer is read once that is over.
        """
        page, session_id = _page(request), identity.session_id(ids, request.username)
        message = self._attaching.said(page, text or "").message
        wanted = (session_id, message, (system_prompt or "").strip() or None, thinking)
        if session_id is None or not is_on or not message.strip():
            self._drafted.pop(page, None)
            return "", gr.Timer(active=False)
        if self._turns.is_running(page):  # or comes: its files have gone along
            self._drafted.pop(page, None)
            return "", gr.Timer(active=True)
        if self._drafted.get(page) != wanted:
            self._drafted[page] = wanted
            await self._drafts.take(session_id, *wanted[1:])
        return self._sign(session_id, request)

    def _sign(self, session_id: SessionId, request: gr.Request) -> Sign:
        percent = self._drafts.percent(session_id)
        sign = view.draft_sign(percent, spoken(request.headers))
        return sign, gr.Timer(active=percent < 100)

    async def attach(self, request: gr.Request, event: gr.EventData) -> str:
        """Files were chosen, or one is taken away or read anew; returns what waits below the box."""
        page, language = _page(request), spoken(request.headers)
        click = event._data if isinstance(event._data, dict) else {}
        if click.get("act") == "remove":
            with contextlib.suppress(KeyError, TypeError, ValueError):
                self._attaching.remove(page, int(click["index"]))
        elif click.get("act") == "charset":
            with contextlib.suppress(KeyError, TypeError, ValueError):
                index, charset = int(click["index"]), str(click["charset"])
                await self._attaching.choose(page, index, charset, language)
        elif click.get("act") == "add":
            large, lost = (_names(click.get(key)) for key in ("large", "lost"))
            files = uploads_in(click.get("files"))
            await self._attaching.add(page, files, large, language, lost)
        return self._attaching.render(page, language)

    def attached(self, request: gr.Request) -> str:
        """HTML of what waits below the box."""
        return self._attaching.render(_page(request), spoken(request.headers))

    def sent(self, typed: str, request: gr.Request) -> Said:
        """What was typed, with the files that waited for it."""
        self._drafted.pop(_page(request), None)
        return self._attaching.take(_page(request), typed)

    def give_back(self, page: str, undone: Any) -> None:
        """The files of a message that was undone (its content) wait for the next one."""
        self._attaching.give_back(page, read_page(text_of(undone)))

    async def read(self, message: Any, language: str) -> str:
        """What the engine gets of what was sent. Raises ValueError with a sentence."""
        return await self._attaching.message_of(message, language)

    async def closed(self, request: gr.Request) -> None:
        """The page is gone: nobody follows its turn there, its files are forgotten."""
        page = _page(request)
        self._turns.forget(page)
        self._attaching.forget(page)
        self._drafted.pop(page, None)


def _page(request: gr.Request) -> str:
    return str(request.session_hash)


def _names(sent: Any) -> list[str]:
    return [str(name) for name in sent] if isinstance(sent, list) else []
