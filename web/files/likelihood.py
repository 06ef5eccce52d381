"""How likely a text is in each language that people's older files are written in.

Owns: the tables of characters. A text's likelihood is that of its characters, each for itself, and of few
pairs that tell a wrong reading; so readings of the same bytes in several charsets can be compared. The most
common characters (common_characters.txt, counted in wordfreq's lists, in their order) have their rank's share
after Zipf; of the others what a charset's own tables tell apart: its everyday rows and its rare ones. Pure.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from math import log
from pathlib import Path

Table = Mapping[str, float]

_ASCII, _INVALID = log(0.05), log(1e-6)
_FEW_BAD = 3
_BAD_RUN = re.compile("\ufffd{1,3}")  # one bad byte may take its neighbours along
_RARE, _OTHER = log(7e-8), log(2e-4)  # an ideogram or syllable of no table, any other character
_ZIPF_OFFSET = 10  # the first ranks are less frequent than 1/rank says

_PUNCTUATION = "，。、；：？！（）“”‘’《》—…·「」『』【】〈〉"
_DRAWN = "─│├└┌┐┘┤┬┴┼━┃→←↑↓★☆●○■□▲△▼▽◆◇※×÷±°①②③④⑤⑥⑦⑧⑨℃"
_WIDE = "".join(map(chr, range(0xFF01, 0xFF5F))) + "\u3000～￥"
_KANA = "".join(map(chr, range(0x3041, 0x30FF)))
_NARROW_KANA = "".join(map(chr, range(0xFF61, 0xFFA0)))
_EUC_TRAILS = range(0xA1, 0xFF)
_BIG5_TRAILS = (*range(0x40, 0x7F), *_EUC_TRAILS)
_SJIS_TRAILS = (*range(0x40, 0x7F), *range(0x80, 0xFD))

# Letters beside ASCII; what stands several times is as much more usual. Small ones, where there are capitals.
_GERMAN = "üüüüüüääääööößßß"
_FRENCH = "éééééééééààèèêêçùôîâûëïœ"
_SPANISH = "óóóóííííááááéééñññúú¿¡º"
_PORTUGUESE = "ãããççéáááíóõêúâàºª"
_ITALIAN = "èèèààùòòéì"
_NORDIC = "åååååäääääöööøøøæææéð"
_POLISH = "ąąććęęęłłłłńóóóśśśżżżź"
_CZECH = "ááááččďéééěěěííííňřřšššťúůůýžžž"
_HUNGARIAN = "ááááááéééééééíóóóöööőőúüüű"
_TURKISH = "ıııııışşşğğğüüüöççâî"
_RUSSIAN = {
    "о": 1097, "е": 845, "а": 801, "и": 735, "н": 670, "т": 626, "с": 547, "р": 473, "в": 454, "л": 440,
    "к": 349, "м": 321, "д": 298, "п": 281, "у": 262, "я": 201, "ы": 190, "ь": 174, "г": 170, "з": 165,
    "б": 159, "ч": 144, "й": 121, "х": 97, "ж": 94, "ш": 73, "ю": 64, "ц": 48, "щ": 36, "э": 32, "ф": 26,
    "ъ": 4, "ё": 4,
}  # fmt: skip
_ARABIC = {
    "ا": 125, "ل": 115, "ي": 66, "م": 64, "و": 62, "ن": 60, "ر": 56, "ت": 47, "ب": 40, "ع": 37, "ة": 36,
    "د": 33, "ه": 33, "س": 32, "ف": 30, "ق": 26, "ك": 25, "أ": 24, "ح": 21, "ج": 16, "ش": 14, "ص": 13,
    "ى": 12, "ط": 10, "خ": 10, "إ": 10, "ض": 8, "ذ": 8, "،": 8, "ث": 7, "ز": 6, "غ": 5, "ء": 5, "ئ": 4,
    "ظ": 2, "ؤ": 2, "آ": 2,
}  # fmt: skip
_GREEK = "αοιετσνηυρπκμλςωδγχθφβξζψάέίόήύώ"
_THAI = "".join(map(chr, (*range(0xE01, 0xE3A), *range(0xE40, 0xE4F)))) + "านรอกเง่วมยลดทสต้ะ" * 3
_HEBREW = "".join(map(chr, range(0x5D0, 0x5EB))) + "יוהלאםמבר" * 2
# Two characters that hardly ever stand together in the language: they tell a wrong reading.
_ODD_PAIRS = {
    "greek": re.compile(
        r"[ά-ώ](?=[Ά-Ϋ])|[a-zA-Z](?=[Ά-ώ])|[Ά-ώ](?=[a-zA-Z])|ς(?=[ά-ώ])|σ(?![ά-ώ])"
    ),
    "latin": re.compile(
        r"[À-ž](?=[À-ž]{2})|[a-zà-ö](?=[À-ÞĄĆĘŁŃŚŹŻČĎĚŇŘŠŤŮŽŐŰİŞĞ])|[a-z](?=[¹¿¡¼½¾£¥¶])|[¹²³¼½¾¥¶](?=[a-z])"
    ),
    "thai": re.compile(
        r"[^ก-ฮ\u0e31\u0e34-\u0e39\u0e47-\u0e4e](?=[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e])|[เ-ไ](?![ก-ฮ])|[a-zA-Z](?=[ก-ฮ])"
    ),
    "hebrew": re.compile(r"[ךםןףץ](?=[א-ת])|[a-zA-Z](?=[א-ת])|[א-ת](?=[a-zA-Z])"),
    "arabic": re.compile(r"[ةى](?=[ء-ي])|[a-zA-Z](?=[ء-ي])|[ء-ي](?=[a-zA-Z])"),
    "ideographs": re.compile(r"[a-z](?=[^\0-\x7f][a-z])|[\uff61-\uff9f](?![\uff61-\uff9f])"),
    "russian": re.compile(r"[а-яё](?=[А-ЯЁ])|[a-zA-Z](?=[а-яА-ЯёЁ])|[а-яА-ЯёЁ](?=[a-zA-Z])"),
}
WESTERN = ("german", "french", "spanish", "portuguese", "italian", "nordic")
CENTRAL_EUROPEAN = ("polish", "czech", "hungarian")
_KINDS = {
    **dict.fromkeys(("chinese", "traditional_chinese", "japanese", "korean"), "ideographs"),
    **dict.fromkeys((*WESTERN, *CENTRAL_EUROPEAN, "turkish"), "latin"),
}
_ODD = log(0.015)  # one such pair


def log_likelihood(text: str, languages: Iterable[str]) -> float:
    """The natural logarithm of how likely `text` is, in the one of `languages` where it is the most likely."""
    counts = Counter(_BAD_RUN.sub("\ufffd", text, count=_FEW_BAD))
    num_odd = {kind: len(pairs.findall(text)) for kind, pairs in _ODD_PAIRS.items()}
    return max(_in_language(counts, num_odd, language) for language in languages)


def mean_log_likelihood(text: str, languages: Iterable[str]) -> float:
    """The same of a character beside ASCII, on average; 0 where there are none."""
    num_ascii = sum(map(str.isascii, text))
    total = log_likelihood(text, languages) - num_ascii * _ASCII
    return total / max(1, len(text) - num_ascii)


def _in_language(counts: Mapping[str, int], num_odd: Mapping[str, int], language: str) -> float:
    table = _table(language)
    return _ODD * num_odd.get(_KINDS.get(language, language), 0) + sum(
        n * _of_character(c, table) for c, n in counts.items()
    )


def _of_character(character: str, table: Table) -> float:
    code = ord(character)
    if code < 0x80:
        return _ASCII if code >= 0x20 or character in "\n\r\t\f" else _INVALID
    if (known := table.get(character)) is not None:
        return known
    if character == "\ufffd" or code < 0xA0 or 0xD800 <= code < 0xF900:
        return _INVALID  # also what is in private use, which charsets map what they do not know to
    return _OTHER if code < 0x2E80 or code >= 0x1F000 else _RARE


@cache
def _table(language: str) -> Table:
    if language != ANY:
        return LANGUAGES[language]()
    merged: dict[str, float] = {}
    for table in map(_table, LANGUAGES):
        merged |= {c: max(p, merged.get(c, p)) for c, p in table.items()}
    return merged


def _chinese() -> Table:
    return _ideographs("zh_cn", _rows("gb2312", 0xB0, 0xD7), _rows("gb2312", 0xD8, 0xF7))


def _traditional_chinese() -> Table:
    common, rare = (_rows("big5", *lead, _BIG5_TRAILS) for lead in ((0xA4, 0xC6), (0xC9, 0xF9)))
    return _ideographs("zh_tw", common, rare)


def _ideographs(name: str, everyday: Iterable[str], rare: Iterable[str]) -> Table:
    return _joined(
        _ranked(_common(name), 0.8), _even(_PUNCTUATION, 0.08), _even(_WIDE, 0.012),
        _even(_DRAWN, 0.006), _even(_KANA, 0.0005), _even(everyday, 0.095), _even(rare, 0.003),
    )  # fmt: skip


def _japanese() -> Table:
    everyday = _rows("cp932", 0x88, 0x97, _SJIS_TRAILS)
    rare = _rows("cp932", 0x98, 0x9F, _SJIS_TRAILS) + _rows("cp932", 0xE0, 0xEA, _SJIS_TRAILS)
    return _joined(
        _ranked(_common("kana"), 0.6), _ranked(_common("ja"), 0.25),
        _even("、。「」ー・（）？！…：『』【】〜～々", 0.09), _even(_WIDE, 0.012), _even(_DRAWN, 0.006),
        _even(_NARROW_KANA, 0.003), _even(everyday, 0.03), _even(rare, 0.001),
    )  # fmt: skip


def _korean() -> Table:
    return _joined(
        _ranked(_common("ko"), 0.88), _even("“”‘’·…「」『』、。！？，：（）", 0.02), _even(_WIDE, 0.002),
        _even(_DRAWN, 0.004), _even(_KANA, 0.0003), _even(_rows("euc_kr", 0xB0, 0xC8), 0.07),
        _even(_rows("euc_kr", 0xCA, 0xFD), 0.001),
    )  # fmt: skip


def _alphabet(letters: Mapping[str, float] | str) -> Table:
    """A language of letters, most of them small; in even parts where their weights are not given."""
    weights = letters if isinstance(letters, Mapping) else Counter(letters)
    capitals = {letter.upper(): weight for letter, weight in weights.items()}
    signs = _joined(_even("«»–—…“”„‘’\xa0", 0.06), _even("•·°©®€£§№™±×²³½µ", 0.005))
    return _joined(_weighted(weights, 0.88), _weighted(capitals, 0.05), signs)


LANGUAGES: dict[str, Callable[[], Table]] = {
    "chinese": _chinese,
    "traditional_chinese": _traditional_chinese,
    "japanese": _japanese,
    "korean": _korean,
    "german": lambda: _alphabet(_GERMAN),
    "french": lambda: _alphabet(_FRENCH),
    "spanish": lambda: _alphabet(_SPANISH),
    "portuguese": lambda: _alphabet(_PORTUGUESE),
    "italian": lambda: _alphabet(_ITALIAN),
    "nordic": lambda: _alphabet(_NORDIC),
    "russian": lambda: _alphabet(_RUSSIAN),
    "greek": lambda: _alphabet(_GREEK),
    "polish": lambda: _alphabet(_POLISH),
    "czech": lambda: _alphabet(_CZECH),
    "hungarian": lambda: _alphabet(_HUNGARIAN),
    "turkish": lambda: _alphabet(_TURKISH),
    "thai": lambda: _alphabet(_THAI),
    "hebrew": lambda: _alphabet(_HEBREW),
    "arabic": lambda: _alphabet(_ARABIC),
}
ANY = "any"  # of them, for charsets of all
IDEOGRAPHIC = frozenset({"chinese", "traditional_chinese", "japanese", "korean", ANY})


@cache
def _common(name: str) -> str:
    """The characters of a section of common_characters.txt, the most common first."""
    whole = Path(__file__).with_name("common_characters.txt").read_text("utf-8")
    _, _, section = whole.partition(f"[{name}]\n")
    return section.partition("[")[0].replace("\n", "")


def _rows(charset: str, first: int, last: int, trails: Iterable[int] = _EUC_TRAILS) -> list[str]:
    """The characters of a charset's rows, by the first bytes of their codes, both ends included."""
    codes = (bytes((lead, trail)) for lead in range(first, last + 1) for trail in trails)
    return [text for code in codes if (text := code.decode(charset, "ignore"))]


def _ranked(characters: str, share: float) -> Table:
    weights = {c: 1 / (rank + _ZIPF_OFFSET) for rank, c in enumerate(characters)}
    return _weighted(weights, share)


def _even(characters: Iterable[str], share: float) -> Table:
    return _weighted(dict.fromkeys(characters, 1.0), share)


def _weighted(weights: Mapping[str, float], share: float) -> Table:
    whole = sum(weights.values())
    return {c: log(share * weight / whole) for c, weight in weights.items()}


def _joined(*tables: Table) -> Table:
    """The first of them that has a character counts."""
    return {c: p for table in reversed(tables) for c, p in table.items()}
