"""How much each key may ask for: requests at once, and tokens a minute.

Owns: the counts of each owner. Only what was computed counts: tokens whose KV was there already are free.
Pure but for its clock; for one event loop.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from api.errors import ApiError

_WINDOW_S = 60.0
_SOON_S = 1


@dataclass(slots=True)
class Limits:
    """requests: at once. tokens: within a minute. None: as many as come."""

    requests: int | None = None
    tokens: int | None = None
    clock: Callable[[], float] = time.monotonic
    _running: Counter[str] = field(default_factory=Counter)
    _spent: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)

    def enter(self, owner: str) -> None:
        """A request begins. Raises ApiError when it is one too many."""
        if self.requests is not None and self._running[owner] >= self.requests:
            sentence = f"This key may ask for {self.requests} replies at once; wait for one to end."
            raise _too_many(sentence, _SOON_S)
        if self.tokens is not None and (wait_s := self._wait_s(owner, self.tokens)) > 0:
            sentence = f"This key may have {self.tokens:,} tokens computed a minute; wait."
            raise _too_many(sentence, math.ceil(wait_s))
        self._running[owner] += 1

    def leave(self, owner: str) -> None:
        """The request is over."""
        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]

    def spend(self, owner: str, tokens: int) -> None:
        """So many tokens were computed for the owner."""
        if self.tokens is not None:
            self._spent.setdefault(owner, deque()).append((self.clock(), tokens))

    def _wait_s(self, owner: str, limit: int) -> float:
        """Until less than the limit was spent within a minute."""
        spent, now = self._spent.get(owner, deque()), self.clock()
        while spent and spent[0][0] <= now - _WINDOW_S:
            spent.popleft()
        total, wait_s = sum(tokens for _, tokens in spent), 0.0
        for at, tokens in spent:
            if total < limit:
                break
            total -= tokens
            wait_s = at + _WINDOW_S - now
        return wait_s


def _too_many(sentence: str, wait_s: int) -> ApiError:
    return ApiError(429, sentence, code="rate_limit_exceeded", retry_after_s=wait_s)
