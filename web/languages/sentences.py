"""What the engine, the export and the start say, in the language of whoever reads it.

They speak English, to logs and programs as to people, and know no languages: a sentence of theirs is
recognised where it comes to a page. Owns: how. The tables name each by its English template; what
fills its places is put into the translation, translated itself if it is known. Words of libraries and
names stay as they are, and so does a sentence that no table has, such as one of an older version.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from string import Formatter

from web.languages import engine_zh_cn, engine_zh_tw, start_zh_cn, start_zh_tw

Table = Mapping[str, str]

SENTENCES: Mapping[str, Table] = {
    "zh-CN": engine_zh_cn.SENTENCES | start_zh_cn.SENTENCES,
    "zh-TW": engine_zh_tw.SENTENCES | start_zh_tw.SENTENCES,
}
WORDS: Mapping[str, Table] = {
    "zh-CN": engine_zh_cn.WORDS | start_zh_cn.WORDS,
    "zh-TW": engine_zh_tw.WORDS | start_zh_tw.WORDS,
}
_LONGEST = 1000  # characters; what is longer is not worth the time, nor what has more sentences
_MOST_ENDS = 12
_END = re.compile(r"(?<=\.) ")


@dataclass(frozen=True, slots=True)
class _Template:
    """A template of a table, and its translation. num_letters: of its own words."""

    pattern: re.Pattern[str]
    translation: str
    num_letters: int


def translated(sentence: object, language: str) -> str:
    """One or several sentences of the engine or the export, or an error of theirs, in `language`."""
    text = str(sentence)
    if language not in SENTENCES or len(text) > _LONGEST:
        return text
    return _sentences(text, language) or text


@lru_cache(maxsize=1024)
def _sentences(text: str, language: str) -> str | None:
    """The translation of `text`, all of whose sentences the tables have; else None."""
    for head, rest in _divided(text):
        first = _matched(head, _templates(language), language)
        others = _sentences(rest, language) if first is not None and rest else ""
        if first is not None and others is not None:
            return first + others
    return None


def _divided(text: str) -> Iterator[tuple[str, str]]:
    """Ways to take a beginning off that is whole sentences, the shortest first."""
    for end in islice(_END.finditer(text), _MOST_ENDS):
        yield text[: end.start()], text[end.end() :]
    yield text, ""


def _matched(text: str, templates: Sequence[_Template], language: str) -> str | None:
    """The translation of `text` by the first of the templates that it is; else None."""
    for template in templates:
        if (found := template.pattern.fullmatch(text)) is not None:
            said = found.groupdict()
            values = {name: _value(value, language) for name, value in said.items()}
            if template.num_letters or values != said:  # "{reason}." is any sentence
                return template.translation.format(**values)
    return None


def _value(text: str, language: str) -> str:
    """What fills a place: words that a table has, a sentence, or something else as it is."""
    return _matched(text, _for_places(language), language) or text


@cache
def _templates(language: str) -> list[_Template]:
    """Those with more words of their own first: they are less likely to be taken for another."""
    return _compiled(SENTENCES[language])


@cache
def _for_places(language: str) -> list[_Template]:
    both = _compiled({**SENTENCES[language], **WORDS[language]})
    return [template for template in both if template.num_letters]


def _compiled(table: Table) -> list[_Template]:
    made = [_template(english, translation) for english, translation in table.items()]
    return sorted(made, key=lambda t: (t.num_letters, len(t.pattern.pattern)), reverse=True)


def _template(english: str, translation: str) -> _Template:
    pattern, letters, names = "", 0, set[str]()
    for literal, name, _, _ in Formatter().parse(english):
        pattern += re.escape(literal)
        letters += sum(map(str.isalpha, literal))
        if name is not None:
            pattern += f"(?P={name})" if name in names else f"(?P<{name}>.+?)"
            names.add(name)
    return _Template(re.compile(pattern, re.DOTALL), translation, letters)
