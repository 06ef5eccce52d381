"""The wait for the model, of whoever asks before it is there.

Owns: that no more wait than the engine takes at once when it comes; the others are told that it is busy.
Does not know Gradio or languages.
"""

import asyncio
from collections.abc import AsyncGenerator

from web.startup import Startup
from web.turns.frames import Frame, Preparing
from web.turns.pace import FASTEST_S


async def preparing(startup: Startup, message: str) -> AsyncGenerator[Frame, None]:
    """Frames until the model is there, well or not; none if it is. The last one may be a refusal."""
    with startup.waiting() as has_place:
        while not startup.is_settled:
            if not has_place:
                yield Frame((), message, refused="", is_busy=True)
                return
            yield Frame((), message, progress=Preparing())
            await asyncio.sleep(FASTEST_S)
