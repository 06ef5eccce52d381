import re
from pathlib import Path
from string import Formatter

import pytest

import web
from engine import SamplingParams
from web.languages.sentences import SENTENCES, WORDS
from web.languages.texts import ENGLISH, EXAMPLES, LANGUAGES, TEXTS, for_browser, language_of, say
from web.page.presets import PROMPT_CHOICES, PROMPTS, sampling_presets

PRESET_TEXTS = {
    *(f"prompt_{name}" for name in PROMPT_CHOICES),
    *(f"prompt_{name}_text" for name in PROMPTS),
    *(f"sampling_{name}" for name in sampling_presets(SamplingParams())),
}


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_there_in_every_language(language: str) -> None:
    assert TEXTS[language].keys() == TEXTS[ENGLISH].keys()
    for key, text in TEXTS[language].items():
        assert text.strip(), key
        assert places(text) == places(TEXTS[ENGLISH][key]), key


@pytest.mark.parametrize(
    ("language", "charset", "other"),
    [("zh-CN", "gb2312", "big5"), ("zh-TW", "big5", "gb2312")],
)
def test_no_chinese_text_has_a_character_of_the_other_script(
    language: str, charset: str, other: str
) -> None:
    def has(charset: str, sign: str) -> bool:
        return bool(sign.encode(charset, "ignore"))

    tables = (TEXTS[language], SENTENCES[language], WORDS[language])
    signs = {sign for table in tables for text in table.values() for sign in text}
    assert {s for s in signs if s > "\u3400" and has(other, s) and not has(charset, s)} == set()


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    sources = "".join(p.read_text("utf-8") for p in Path(web.__file__).parent.rglob("*.py"))
    calls = r"(?:say\(\s*\w+,|words\(|named\()\s*[\"'](\w+)[\"']"
    named = set(re.findall(calls, sources)) | set(EXAMPLES) | PRESET_TEXTS
    assert named <= TEXTS[ENGLISH].keys()
    for key in TEXTS[ENGLISH].keys() - named:
        quoted = f'"{key.removesuffix("_info")}"'
        assert sources.count(quoted) > len(LANGUAGES), f"{key} is said nowhere"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"), ("", "en"), ("fr", "en"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh-TW", "zh-TW"), ("zh-Hant-HK", "zh-TW"), ("zh", "zh-CN"), ("en-GB,zh;q=0.5", "en"),
        ("en;q=0.3, zh-TW;q=0.7", "zh-TW"), ("de,zh-CN;q=0.5", "zh-CN"), ("zh;q=oops", "zh-CN"),
    ],
)  # fmt: skip
def test_the_page_speaks_the_first_language_it_knows(header: str | None, language: str) -> None:
    assert language_of(header) == language


def test_places_are_filled_in() -> None:
    assert say("zh-CN", "prefill", percent=70) == "正在读… 70 %"


def test_the_browser_finds_chinese_of_every_region() -> None:
    tables = for_browser()
    assert tables["zh-HK"] == tables["zh-TW"] != tables["zh"] == tables["zh-CN"]
