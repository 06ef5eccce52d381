"""Files read without harm to others: what must be unpacked is, in a process of its own.

Owns: that process, its end, and how many there are at once. What a file costs shows only while a library
unpacks it; a process can be ended then, a thread cannot. Does not know what is in the files.
"""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from web.files import documents, unpacking
from web.files.documents import Document
from web.files.unpacking import Unreadable

AT_ONCE = 2
_PATIENCE_S = 6 * unpacking.READ_S  # it has that much of the processor, and others come first


class Reading:
    """Reads for all pages. For one event loop."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    async def read(self, path: Path, suffix: str) -> Document:
        """As `documents.read`. Raises Unreadable or OSError."""
        async with self._places:
            if await asyncio.to_thread(documents.is_costly, path, suffix):
                return documents.plain(await _read_apart(path, suffix.lower()))
            return await asyncio.to_thread(documents.read, path, suffix)


async def _read_apart(path: Path, suffix: str) -> str:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-I", unpacking.__file__, str(path), suffix,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(program.communicate(), _PATIENCE_S)
    except TimeoutError:
        raise Unreadable("file_slow") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
        await program.wait()
    try:
        found = json.loads(said)
    except ValueError:  # it was ended: by its limits, or for want of memory
        raise Unreadable("file_costly") from None
    if "text" not in found:
        raise Unreadable(found["reason"], **found["values"])
    return str(found["text"])
