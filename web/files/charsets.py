"""Bytes of a text file to text, whatever charset they are in, and what else they could be.

Owns: which charsets are thought of, and which reading of the bytes is taken: the one whose text is the most
likely in a language that is written in that charset (web.files.likelihood). Bytes that mean nothing become
U+FFFD, which counts against a reading. `python -m bench charsets` measures it. Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from web.files import damaged
from web.files.likelihood import (
    ANY,
    CENTRAL_EUROPEAN,
    IDEOGRAPHIC,
    WESTERN,
    log_likelihood,
    mean_log_likelihood,
)

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_ISO_2022_JP = re.compile(rb"\x1b\$[@B]")  # seven bits, so it would pass for UTF-8
_CONTROLS = re.compile(rb"[\0-\x08\x0b\x0e-\x1a\x1c-\x1f]")  # halves of UTF-16, or no text
_UNKNOWN = re.compile(
    "[\x80-\x84\x86-\x9f\uf8f0-\uf8f3]"
)  # where some codecs put bytes that mean nothing
_SAMPLE_BYTES = 16 * 2**10
_CUT = -9.0  # log of the share of files that end within a character
_SURE = 9.0  # more than this lies between the first and the second: one in 8,000
_SURE_OF_ACCENTS = (
    5.2  # the same between Latin charsets: no Czech or Hungarian text was wrong by more
)
_NEARLY_NONE = 0.02  # of the letters in lines that are not ASCII: read so, a text says the same
_THOUGHT_OF = 25.0  # what is farther behind is not offered
_MOST_CHOICES = 8
# Of texts; with ideographs they have a mean of -9 and more, with letters of -4.5. Bytes in no charset of these
# have less, as code pages of DOS and random ones do.
_LEAST_MEAN, _LEAST_MEAN_OF_LETTERS = -10.3, -5.3
_FEW_PAIRS = 8  # of bytes, which may look like UTF-8 by chance
_VALID = 8.0  # log of how much likelier such a file is UTF-8
_DAMAGED = re.compile("\ufffd{1,3}")  # a character of UTF-8, by one bad byte
_FEW = 20  # characters, of which a mean says nothing


@dataclass(frozen=True, slots=True)
class _Charset:
    """languages: written in it; prior: log of how usual its files are; wider: a codec with more characters."""

    codec: str
    languages: tuple[str, ...]
    prior: float = 0.0
    wider: str | None = None

    @property
    def is_wide(self) -> bool:
        """Whether lines cannot be told in its bytes."""
        return self.codec.startswith("utf-16")

    @property
    def has_ideographs(self) -> bool:
        """Whether a text in it may be of many different characters."""
        return not IDEOGRAPHIC.isdisjoint(self.languages)

    def decode(self, raw: bytes, codec: str | None = None) -> tuple[str, bool]:
        """Its text, and whether `raw` ends within a character. codec: the wider one."""
        codec = codec or self.codec
        if self.has_ideographs and self.languages != (ANY,):
            text, is_cut = damaged.decode_in_step(raw, codec, self.languages)
        else:  # in Unicode's charsets a bad byte leaves the others as they are
            text, is_cut = damaged.decode(raw, codec)
        return _UNKNOWN.sub("\ufffd", text), is_cut


# The widest of each family: GB18030 reads GBK and GB2312, 932 and 949 are what Windows calls Shift-JIS and EUC-KR.
_CHARSETS = {
    c.codec: c
    for c in (
        _Charset("utf-8", (ANY,)),
        _Charset("gb18030", ("chinese", "traditional_chinese")),
        _Charset("cp950", ("traditional_chinese",), -1),
        _Charset("big5hkscs", ("traditional_chinese",), -3),
        _Charset("cp932", ("japanese",), -1),
        _Charset("euc_jp", ("japanese",), -2, "euc_jis_2004"),
        _Charset("cp949", ("korean",), -1),
        _Charset("cp1252", WESTERN),
        _Charset("cp1251", ("russian",), -2),
        _Charset("koi8_r", ("russian",), -3),
        _Charset("cp1250", CENTRAL_EUROPEAN, -2),
        _Charset("cp1253", ("greek",), -4),
        _Charset("cp1254", ("turkish",), -4),
        _Charset("cp1255", ("hebrew",), -5),
        _Charset("cp1256", ("arabic",), -5),
        _Charset("cp874", ("thai",), -5),
        _Charset("utf-16-le", (ANY,), -2),
        _Charset("utf-16-be", (ANY,), -4),
    )
}


_LATIN = frozenset({"cp1252", "cp1250", "cp1254"})
_Found = tuple[float, str, str]  # how likely, codec, text


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, its charset (a codec's name), and, where that is unsure, all that it may be, likeliest first.

    is_plausible: whether it looks like a text of any language that is known here.
    """

    text: str
    charset: str
    choices: tuple[str, ...] = ()
    is_plausible: bool = True


def read_text(raw: bytes) -> Reading:
    """The likeliest reading of `raw`."""
    if (certain := _certain(raw)) is not None:
        return certain
    ranking = _ranking(raw)
    best, charset, _ = ranking[0]
    near = tuple(codec for found, codec, _ in ranking if best - found < _THOUGHT_OF)[:_MOST_CHOICES]
    is_sure = not any(_rivals(ranking[0], other) for other in ranking[1:])
    text = read_as(raw, charset)
    return Reading(text, charset, () if is_sure else near, _is_plausible(text, _CHARSETS[charset]))


def _rivals(first: _Found, other: _Found) -> bool:
    """Whether somebody should choose; Latin charsets differ in some accents, and not in the rest."""
    lead = first[0] - other[0]
    if not _LATIN.issuperset((first[1], other[1])):
        return lead <= _SURE
    telling = [
        (a, b) for a, b in zip(_telling(first[2]), _telling(other[2]), strict=False) if a.isalpha()
    ]
    num_other = sum(a != b for a, b in telling)
    return lead <= _SURE_OF_ACCENTS and num_other > _NEARLY_NONE * len(telling)


def _ranking(raw: bytes) -> list[_Found]:
    """The charsets by their likelihood, with a sample's text; of those that make the same the first alone."""
    telling, beginning = b"".join(_telling_lines(raw)), raw[:_SAMPLE_BYTES]
    found: dict[str, _Found] = {}
    for charset in _CHARSETS.values():
        text, likelihood = _tried(beginning if charset.is_wide else telling, charset)
        if charset.codec == "utf-8" and _is_mostly_bad(text):
            continue
        found[text] = max(found.get(text, (-inf, "", "")), (likelihood, charset.codec, text))
    return sorted(found.values(), reverse=True)


def _is_mostly_bad(text: str) -> bool:
    """Whether more bytes are bad than were read beside ASCII, and more than one bad byte takes along."""
    num_bad = text.count("\ufffd")
    is_many = len(_DAMAGED.findall(text)) > 1
    return is_many and num_bad > sum(not c.isascii() for c in text) - num_bad


def read_as(raw: bytes, charset: str) -> str:
    """`raw` in a charset that was offered; its wider codec, where that understands more of the bytes."""
    asked = _CHARSETS[charset]
    readings = (asked.decode(raw, codec) for codec in filter(None, (charset, asked.wider)))
    texts = (text + "\ufffd" * is_cut for text, is_cut in readings)
    return min(texts, key=lambda text: text.count("\ufffd"))


def _certain(raw: bytes) -> Reading | None:
    """What a mark at the beginning says, or bytes that are UTF-8 or ISO-2022-JP as they stand."""
    for bom, charset in _BOMS:
        if raw.startswith(bom):
            return Reading(raw[len(bom) :].decode(charset, "replace"), charset)
    if _ISO_2022_JP.search(raw) and raw.isascii():
        return Reading(raw.decode("iso2022_jp", "replace"), "iso2022_jp")
    if _CONTROLS.search(raw):
        return None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if _may_be_by_chance(text) else Reading(text, "utf-8")


def _may_be_by_chance(text: str) -> bool:
    """Whether another charset's bytes may have made it, as two or three characters of GBK do now and then."""
    beyond = [c for c in text[:_SAMPLE_BYTES] if not c.isascii()]
    return 0 < len(beyond) < _FEW_PAIRS and max(beyond) < "\u0800"


def _is_plausible(text: str, charset: _Charset) -> bool:
    telling = _telling(text)[:_SAMPLE_BYTES]
    if sum(not c.isascii() for c in telling) < _FEW:
        return True
    least = _LEAST_MEAN if charset.has_ideographs else _LEAST_MEAN_OF_LETTERS
    return mean_log_likelihood(telling, charset.languages) > least


def _telling(text: str) -> str:
    """Its lines that are not in ASCII alone."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.isascii())


def _tried(sample: bytes, charset: _Charset) -> tuple[str, float]:
    """A reading of the sample, and the logarithm of how likely it is."""
    text, ends_within = charset.decode(sample)
    is_cut = ends_within and len(sample) < _SAMPLE_BYTES
    is_utf8 = charset.codec == "utf-8" and "\ufffd" not in text and not is_cut
    given = charset.prior + _CUT * is_cut + _VALID * is_utf8
    return text, given + log_likelihood(text, charset.languages)


def _telling_lines(raw: bytes) -> Iterator[bytes]:
    """A sample of a long file: of lines that tell something, since ASCII is the same in all but UTF-16."""
    if len(raw) <= _SAMPLE_BYTES:
        yield raw
        return
    left = _SAMPLE_BYTES
    for line in raw.splitlines(keepends=True):
        if not line.isascii():
            yield line[:left]
            left -= len(line)
            if left <= 0:
                return
