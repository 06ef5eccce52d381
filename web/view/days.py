"""When a conversation was last changed, by days as its reader counts them.

Owns: the days of a list, and the cookie by which a browser says how its clock differs from UTC. Pure.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from http.cookies import CookieError, SimpleCookie

from web.languages import RequestHeaders

COOKIE = "warmchat_utc_offset"  # in minutes; written by clock.js
WEEK = 7
_MOST_MINUTES = 14 * 60  # no clock of this world differs by more


def reader_now(
    headers: RequestHeaders, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> datetime:
    """What a reader's clock says; this machine's, where the browser has not told."""
    minutes = _minutes(headers)
    zone = None if minutes is None else timezone(timedelta(minutes=minutes))
    return clock().astimezone(zone)


def day_of(changed_at: float, now: datetime) -> str:
    """today, yesterday, last_week or long_ago; changed_at: seconds since 1970."""
    changed = datetime.fromtimestamp(changed_at, now.tzinfo)
    days = (now.date() - changed.date()).days
    if days <= 0:
        return "today"
    if days == 1:
        return "yesterday"
    return "last_week" if days <= WEEK else "long_ago"


def _minutes(headers: RequestHeaders) -> int | None:
    try:
        morsel = SimpleCookie(headers.get("cookie") or "").get(COOKIE)
        minutes = int(morsel.value) if morsel is not None else None
    except (CookieError, ValueError):
        return None
    return minutes if minutes is None or abs(minutes) <= _MOST_MINUTES else None
