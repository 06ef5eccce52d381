"""What stands in the place of a reply until its first word comes.

Owns: how it looks, and which words say why there is no text yet. Does not know what is waited for
otherwise.
"""

import html

from engine import events
from web.languages import say
from web.startup import Startup
from web.turns import Preparing, Progress


def waiting(sentence: str = "") -> str:
    """HTML of three dots, and of a sentence if there is one."""
    dots = '<span class="dots"><i></i><i></i><i></i></span>'
    return f'<span class="waiting">{dots}<span>{html.escape(sentence)}</span></span>'


def progress(moment: Progress | None, startup: Startup, language: str) -> str:
    """Why there is no text yet."""
    match moment:
        case events.Queued(position=0):
            return say(language, "queued")
        case events.Queued(position=ahead):
            return say(language, "queued_behind", ahead=ahead)
        case events.Prefilling(done=done, total=total) if total:
            return say(language, "prefill", percent=round(100 * done / total))
        case Preparing() if not startup.is_settled:
            return say(language, startup.phase, model=startup.model_name)
        case _:
            return say(language, "thinking")
