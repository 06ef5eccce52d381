"""The files that wait on each page for the message they go with.

Owns: which page (a browser tab, by its session_hash) has attached what, what of it is refused and
why, and that uploaded files are deleted as soon as they are read. Does not know how a file is read
(web.files.reading) or how it looks (web.files.chips, web.files.attachments).
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from engine import Engine
from web.files import chips, documents
from web.files.attachments import Attachment, Said, safe_name, size
from web.files.reading import Reading
from web.files.unpacking import MAX_BYTES, Unreadable
from web.languages import say
from web.startup import Startup

MAX_FILES = 10
_PAGES_REMEMBERED = 500
_COUNTED_CHARACTERS = 100_000  # the tokens of a longer text are estimated from so many


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that the browser or a client has sent. name: what it is called over there."""

    path: Path
    name: str


@dataclass(slots=True)
class _Basket:
    """What waits on one page, and the sentences about what was refused last.

    num_added: how many times files were added and are read, so that the page knows what is still under way.
    """

    attachments: list[Attachment] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    num_added: int = 0


class Attaching:
    """The files of all pages. For one event loop. folder: where uploaded files may lie."""

    def __init__(self, startup: Startup, folder: Path) -> None:
        self._startup = startup
        self._folder = folder
        self._baskets: OrderedDict[str, _Basket] = OrderedDict()
        self._renderings = count()
        self._reading = Reading()

    def said(self, page: str, typed: str) -> Said:
        """What is typed on `page`, with the files that wait there."""
        basket = self._baskets.get(page)
        return Said(typed, tuple(basket.attachments) if basket else ())

    def take(self, page: str, typed: str) -> Said:
        """As `said`; nothing waits there any more. What is still being read waits for the next message."""
        said, basket = self.said(page, typed), self._basket(page)
        basket.attachments, basket.refusals = [], []
        return said

    def give_back(self, page: str, said: Said) -> None:
        """The files of a message that was undone wait again."""
        if said.attachments:
            self._basket(page).attachments = list(said.attachments)

    def forget(self, page: str) -> None:
        """The page is gone."""
        self._baskets.pop(page, None)

    def remove(self, page: str, index: int) -> None:
        """The file at `index` does not go with the message."""
        basket = self._basket(page)
        basket.refusals = []
        if 0 <= index < len(basket.attachments):
            del basket.attachments[index]

    async def choose(self, page: str, index: int, charset: str, language: str) -> None:
        """The file at `index` is in another of the charsets that were offered."""
        basket = self._basket(page)
        basket.refusals = []
        chosen = basket.attachments[index] if 0 <= index < len(basket.attachments) else None
        if chosen is None or chosen.unsure is None or charset not in chosen.unsure.choices:
            return
        try:
            document = await asyncio.to_thread(documents.read_as, chosen.unsure, charset)
            again = replace(chosen, text=document.text, unsure=document.unsure)
            others = [other for other in basket.attachments if other is not chosen]
            await self._check_room(again, others)
        except Unreadable as reason:
            basket.refusals.append(_sentence(chosen.name, reason, language))
        else:  # meanwhile others may have come or gone
            basket.attachments[:] = [again if a is chosen else a for a in basket.attachments]

    async def add(
        self,
        page: str,
        uploads: Sequence[Upload],
        too_large: Sequence[str],
        language: str,
        lost: Sequence[str] = (),
    ) -> None:
        """Read `uploads`; too_large, lost: names of files that the browser did not send, or could not."""
        basket = self._basket(page)
        refused = [(n, "file_too_large") for n in too_large] + [(n, "file_lost") for n in lost]
        basket.refusals = [_sentence(n, Unreadable(reason), language) for n, reason in refused]
        try:
            for upload in uploads:
                await self._add(upload, basket, language)
        finally:
            basket.num_added += 1

    async def _add(self, upload: Upload, basket: _Basket, language: str) -> None:
        try:
            attachment = await self._read(upload)
            await self._check_room(attachment, basket.attachments)
        except Unreadable as reason:
            basket.refusals.append(_sentence(upload.name, reason, language))
        else:
            basket.attachments.append(attachment)

    async def message_of(self, sent: Any, language: str) -> str:
        """The message that the page, or a client ({"text": ..., "files": [...]}), has sent.

        Raises ValueError with a sentence if a file cannot be read.
        """
        if isinstance(sent, Said):
            return sent.message
        if not isinstance(sent, dict):
            return str(sent or "")
        basket = _Basket()
        for upload in uploads_in(sent.get("files")):
            try:
                attachment = await self._read(upload)
                await self._check_room(attachment, basket.attachments)
                basket.attachments.append(attachment)
            except Unreadable as reason:
                raise ValueError(_sentence(upload.name, reason, language)) from None
        return Said(str(sent.get("text") or ""), tuple(basket.attachments)).message

    def render(self, page: str, language: str) -> str:
        """HTML of the button and the chips; differs each time, so that the page sees an answer."""
        basket = self._baskets.get(page) or _Basket()
        data = f'data-rendering="{next(self._renderings)}" data-added="{basket.num_added}"'
        return chips.waiting(basket.attachments, basket.refusals, data, language)

    async def _read(self, upload: Upload) -> Attachment:
        """The text of an upload, which is deleted. Raises Unreadable."""
        path = upload.path.resolve()
        if not path.is_relative_to(self._folder.resolve()) or not path.is_file():
            raise Unreadable("file_lost")
        try:
            num_bytes = path.stat().st_size
            document = await self._reading.read(path, Path(upload.name).suffix)
        except OSError:
            raise Unreadable("file_lost") from None
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
        return Attachment(safe_name(upload.name), document.text, num_bytes, document.unsure)

    async def _check_room(self, attachment: Attachment, others: Sequence[Attachment]) -> None:
        """Raise Unreadable if the files, and a quarter for the answer, exceed the context."""
        if len(others) >= MAX_FILES:
            raise Unreadable("file_too_many", limit=MAX_FILES)
        engine = self._startup.engine
        if engine is None or self._startup.phase != "ready":
            return
        context = engine.info.context_length
        room = context - context // 4
        counts = [await _num_tokens(engine, a.block) for a in (*others, attachment)]
        if sum(counts) > room:
            reason = "file_too_many_tokens" if counts[-1] > room else "files_too_many_tokens"
            numbers = {"tokens": counts[-1], "total": sum(counts), "room": room, "context": context}
            raise Unreadable(reason, **{key: f"{n:,}" for key, n in numbers.items()})

    def _basket(self, page: str) -> _Basket:
        basket = self._baskets.setdefault(page, _Basket())
        self._baskets.move_to_end(page)
        if len(self._baskets) > _PAGES_REMEMBERED:
            self._baskets.popitem(last=False)
        return basket


def uploads_in(files: Any) -> list[Upload]:
    """What of the browser's or a client's list of files makes sense."""
    found = []
    for file in files if isinstance(files, list) else []:
        given = {"path": file} if isinstance(file, str) else file
        path = given.get("path") if isinstance(given, dict) else None
        if isinstance(path, str) and path and "\0" not in path:
            name = given.get("name") or given.get("orig_name") or Path(path).name
            found.append(Upload(Path(path), str(name)))
    return found


async def _num_tokens(engine: Engine, text: str) -> int:
    counted = await engine.count_tokens(text[:_COUNTED_CHARACTERS])
    return counted * len(text) // min(len(text), _COUNTED_CHARACTERS)


def _sentence(name: str, reason: Unreadable, language: str) -> str:
    limits = {"max_size": size(MAX_BYTES)}
    return say(language, reason.reason, name=safe_name(name), **limits, **reason.values)
