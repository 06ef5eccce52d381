"""Angle brackets in Markdown prose: shown as they were written.

Owns: which few tags are taken as formatting: those that carry nothing but that, and only without
attributes. All others, comments included, are words that somebody writes about; as tags they would
vanish with what stands around them. Does not know code or mathematics.
"""

import re

_FORMATTING = (
    "b br code del details em hr i ins kbd li mark ol p q s small strong sub summary sup u ul wbr"
)
# An angle bracket as text, written as nobody else writes it, so that what is copied can have it back.
_SHOWN = "&#x0003c;"
_BRACKET = re.compile(r"<(?=[a-zA-Z/!?])")
_KEPT = re.compile(
    rf"</?(?:{'|'.join(_FORMATTING.split())})[ \t]*/?>"
    r"|<[a-zA-Z][a-zA-Z0-9+.-]+:[^\s<>]*>"  # addresses, which Markdown makes links of
    r"|<[\w.+-]+@[\w-]+(?:\.[\w-]+)+>",
    re.IGNORECASE,
)


def shown(prose: str) -> str:
    """The prose with its angle brackets as text, but for formatting and addresses."""
    return _BRACKET.sub(lambda found: "<" if _KEPT.match(prose, found.start()) else _SHOWN, prose)
