"""Which language a request is answered in.

Owns: the cookie that remembers a choice made by hand, which goes before the browser's languages.
"""

from http.cookies import CookieError, SimpleCookie
from typing import Any, Protocol

from web.languages.texts import LANGUAGES, language_of

COOKIE = "warmchat_language"


class RequestHeaders(Protocol):
    """The headers of a request, by their names in small letters."""

    def get(self, key: str, /) -> Any:
        """The header's value, or None."""


def chosen(headers: RequestHeaders) -> str | None:
    """The language that was chosen by hand in this browser, if one was."""
    try:
        morsel = SimpleCookie(headers.get("cookie") or "").get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and morsel.value in LANGUAGES else None


def spoken(headers: RequestHeaders) -> str:
    """The language of whatever is said to this request."""
    return chosen(headers) or language_of(headers.get("accept-language"))
