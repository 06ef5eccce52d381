"""Conversations into files and files into conversations, from the page.

Owns: the names of the files, the size limit, and what a person is told of a refused file. Does not
know what the files hold (engine.tiers.portable), nor how the page shows a conversation.
"""

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import gradio as gr

from engine import Engine, SessionId
from engine.errors import EngineError
from web import identity
from web.events.conversations import UNCHANGED, Conversations, Shown
from web.events.warning import warn
from web.files import Downloads, readable_title, size
from web.languages import say, spoken, translated
from web.startup import Startup

log = logging.getLogger(__name__)

SUFFIXES = {"markdown": ".md", "json": ".json", "portable": ".warmchat"}
_MEDIA_TYPES = {
    "markdown": "text/markdown; charset=utf-8",
    "json": "application/json",
    "portable": "application/octet-stream",
}
_UNNAMED = "conversation"
_MAX_STEM = 80
_UNSAFE = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]+')
_COPY = re.compile(r"\s*\(\d+\)$")  # what browsers put behind a name that is there already


class Exchange:
    """Export of a conversation, and import of a new one."""

    def __init__(
        self, startup: Startup, conversations: Conversations, downloads: Downloads
    ) -> None:
        self._startup = startup
        self._conversations = conversations
        self._downloads = downloads

    async def export(self, ids: Any, request: gr.Request, event: gr.EventData) -> str:
        """The ticket for a file with a conversation of the list; none if it cannot be had."""
        data = event._data if isinstance(event._data, dict) else {}
        form, language = data.get("form"), spoken(request.headers)
        open_now, engine = identity.session_id(ids, request.username), self._startup.engine
        session_id = open_now and identity.conversation_of(open_now.owner, data.get("id"))
        if session_id is None or form not in SUFFIXES:
            return ""
        if engine is None or self._startup.phase != "ready":
            gr.Warning(say(language, "not_ready"))
            return ""
        try:
            await engine.find_session(session_id)
            if not engine.messages(session_id):
                gr.Warning(say(language, "export_empty"))
                return ""
            content = await _content(engine, session_id, form)
            name = file_stem(await asyncio.to_thread(_title, engine, session_id)) + SUFFIXES[form]
        except EngineError as error:
            warn(error, request)
            return ""
        return self._downloads.add(name, _MEDIA_TYPES[form], content)

    async def imported(self, path: str | None, ids: Any, search: str, request: gr.Request) -> Shown:
        """Open a file as a new conversation; returns ids, the chat, the list."""
        language, old = (
            spoken(request.headers),
            identity.session_id(ids, request.username),
        )
        engine = self._startup.engine
        if path is None or old is None:
            return UNCHANGED
        if engine is None or self._startup.phase != "ready":
            gr.Warning(say(language, "not_ready"))
            return UNCHANGED
        new = SessionId(**identity.mint(old.owner))
        try:
            await self._fill(engine, new, Path(path), language)
        except (EngineError, ValueError, OSError) as error:
            log.info("A file was not imported: %s", error)
            engine.close_session(new)
            gr.Warning(say(language, "import_refused", reason=_reason(error, language)))
            return UNCHANGED
        finally:
            Path(path).unlink(missing_ok=True)
        return await self._conversations.show(new, search, request)

    async def _fill(self, engine: Engine, new: SessionId, path: Path, language: str) -> None:
        """Raises EngineError, or ValueError or OSError about the file itself."""
        limit = self._startup.options.max_upload_bytes
        if path.stat().st_size > limit:
            raise ValueError(say(language, "import_too_large", limit=size(limit)))
        await engine.import_file(new, path.read_bytes())
        if name := imported_title(path.stem):
            await asyncio.to_thread(engine.library.rename, new, name)


def _reason(error: Exception, language: str) -> str:
    """Without the path of the upload."""
    said = error.strerror if isinstance(error, OSError) else error
    return translated(said, language)


async def _content(engine: Engine, session_id: SessionId, form: str) -> bytes:
    match form:
        case "markdown":
            return engine.export_markdown(session_id).encode("utf-8", "replace")
        case "json":
            return engine.export_json(session_id).encode("utf-8", "replace")
        case _:
            return await engine.export_portable(session_id)


def _title(engine: Engine, session_id: SessionId) -> str:
    rows = engine.library.conversations(session_id.owner)
    return next(
        (readable_title(row.title) for row in rows if row.id == session_id.conversation), ""
    )


def file_stem(title: str) -> str:
    """A file name without its suffix that every system takes."""
    stem = " ".join(_UNSAFE.sub(" ", title).split())[:_MAX_STEM].strip(" .…")
    return stem or _UNNAMED


def imported_title(stem: str) -> str:
    """The title that the name of an exported file holds; empty if nobody named it."""
    title = " ".join(_COPY.sub("", stem).split())
    return "" if title.lower() in ("", _UNNAMED) else title
