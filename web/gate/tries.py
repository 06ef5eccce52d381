"""How often somebody may try to sign in, and how long they wait after having been wrong.

Owns: the count of wrong passwords, for a name from an address, for a name, and for an address. Pure;
does not know HTTP or passwords. A wait doubles with each try beyond the free ones, up to five minutes.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_TRIES = 5
FREE_TRIES_OF_ONE_SIDE = 20  # of a name from anywhere, and from an address for any name
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0
_FORGOTTEN_S = 3600.0
_MOST_COUNTED = 10_000


@dataclass(slots=True)
class _Count:
    tries: int = 0
    next_at: float = 0.0  # of the clock; before, no try is taken


class Tries:
    """The wrong tries of everybody. clock: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: OrderedDict[tuple[str, ...], _Count] = OrderedDict()

    def wait_s(self, name: str, address: str) -> float:
        """How long this name has to wait at this address; 0 when it may try."""
        counts = [self._counts.get(key) for key, _ in _keys(name, address)]
        waits = [count.next_at - self._clock() for count in counts if count is not None]
        return max([0.0, *waits])

    def began(self, name: str, address: str) -> None:
        """A try is counted as wrong until it is known to be right: many at once count, too."""
        now = self._clock()
        for key, free in _keys(name, address):
            count = self._counts.pop(key, _Count())
            if now - count.next_at > _FORGOTTEN_S:
                count = _Count()
            count.tries += 1
            beyond = count.tries - free
            wait_s = min(FIRST_WAIT_S * 2.0**beyond, LONGEST_WAIT_S) if beyond >= 0 else 0.0
            count.next_at = now + wait_s
            self._counts[key] = count
        while len(self._counts) > _MOST_COUNTED:
            self._counts.popitem(last=False)

    def was_right(self, name: str, address: str) -> None:
        """The password was right; the address keeps its count of other names."""
        (own, _), (of_name, _), (of_address, _) = _keys(name, address)
        self._counts.pop(own, None)
        self._counts.pop(of_name, None)
        if count := self._counts.get(of_address):
            count.tries -= 1
            count.next_at = 0.0


def _keys(name: str, address: str) -> list[tuple[tuple[str, ...], int]]:
    """What a try counts for, and how many are free there."""
    place = _network(address)
    return [
        (("both", name, place), FREE_TRIES),
        (("name", name), FREE_TRIES_OF_ONE_SIDE),
        (("address", place), FREE_TRIES_OF_ONE_SIDE),
    ]


def _network(address: str) -> str:
    """An address of IPv4, or the network of IPv6 that one machine has to itself."""
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{address}/64", strict=False)) if version == 6 else address
