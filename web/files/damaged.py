"""Bytes in a charset to text, where some of the bytes are bad.

Owns: where reading goes on behind a bad byte. In charsets of two bytes a character, a lost first byte makes the
second one begin a character, and so on: each character up to the next in ASCII would be a wrong one. So what
follows is read both with the next byte and without it, and the likelier is taken. Pure.
"""

import codecs
from functools import cache

from web.files.likelihood import log_likelihood

_LOOKED_AT = 32  # bytes behind a bad one
_SKIPPED = -4.0  # log of how much rarer it is that a second byte goes with the bad one
_MOST_BAD = 500  # more is no text in this charset, and each takes a tenth of a millisecond


def decode(raw: bytes, codec: str) -> tuple[str, bool]:
    """The text, U+FFFD for bad bytes, and whether `raw` ends within a character, which is left out."""
    return _decode(raw, codec, "replace")


def decode_in_step(raw: bytes, codec: str, languages: tuple[str, ...]) -> tuple[str, bool]:
    """The same of a charset in which a character may have two bytes, in any of `languages`."""
    text, is_cut = decode(raw, codec)
    if not 0 < text.count("\ufffd") <= _MOST_BAD:
        return text, is_cut
    return _decode(raw, codec, _back_in_step(languages))


def _decode(raw: bytes, codec: str, errors: str) -> tuple[str, bool]:
    decoder = codecs.getincrementaldecoder(codec)(errors)
    return decoder.decode(raw), bool(decoder.getstate()[0])


@cache
def _back_in_step(languages: tuple[str, ...]) -> str:
    """The name of an error handler."""

    def skip(bad: UnicodeError) -> tuple[str, int]:
        assert isinstance(bad, UnicodeDecodeError)
        line = bad.object[bad.end : bad.end + _LOOKED_AT].partition(b"\n")[0]
        if not line or line[0] < 0x80:  # ASCII may be a character of its own
            return "\ufffd", bad.end
        kept, skipped = (
            log_likelihood(decode(rest, bad.encoding)[0], languages) for rest in (line, line[1:])
        )
        num_skipped = int(skipped + _SKIPPED > kept)
        return "\ufffd" * (1 + num_skipped), bad.end + num_skipped

    name = "warmchat-" + "-".join(languages)
    codecs.register_error(name, skip)
    return name
