"""What a visitor is told of an error of the engine's.

Its errors are sentences for people, but those of the store name the database: where that lies is for the
operator, who has the log.
"""

import logging

from engine.errors import EngineError
from web.languages import say
from web.turns import is_private

log = logging.getLogger(__name__)


def told(error: EngineError, language: str) -> str:
    """The sentence for a visitor; what it leaves out is in the log, in one line."""
    if not is_private(error):
        return str(error)
    log.warning("%s", error)
    return say(language, "storage")
