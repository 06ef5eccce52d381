"""What is noted of a request while it is answered, and told when it is over: to the metrics, and to the log.

Owns: the form of a line of the access log, which is JSON and never has what was said.
"""

import json
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.types import Scope

log = logging.getLogger("api.access")

_NOTES = "warmchat.notes"


@dataclass(slots=True)
class Notes:
    """Of one request. owner: whose it is, as far as that is known; code: what it was refused with."""

    request_id: str
    method: str
    path: str
    status: int = 0
    owner: str | None = None
    code: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    began_at: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self.began_at

    def write(self) -> None:
        """A line of the log, if there is one."""
        if not log.isEnabledFor(logging.INFO):
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": self.request_id,
            "owner": self.owner,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "code": self.code,
            "seconds": round(self.seconds, 4),
            **self.usage,
        }
        told = {name: value for name, value in line.items() if value is not None}
        log.info("%s", json.dumps(told, ensure_ascii=False))


def note(scope: Scope, notes: Notes) -> None:
    """Where `notes_of` finds them."""
    scope[_NOTES] = notes


def notes_of(scope: Scope) -> Notes:
    """The notes of a request."""
    found: Notes = scope[_NOTES]
    return found
