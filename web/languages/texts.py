"""Every word that the page says, in the language of whoever reads it.

Owns: which languages there are, and which of them somebody is offered. Sentences of the engine and the
export (errors, notes) are web.languages.sentences'. Does not know Gradio: `for_browser` is what its I18n takes, for labels that
the browser fills in; `say` is for text made here.
"""

from collections.abc import Mapping

from web.languages import en, zh_cn, zh_tw

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh-CN", "zh-TW")

NAMES = {ENGLISH: "English", "zh-CN": "简体中文", "zh-TW": "繁體中文"}
TEXTS: Mapping[str, Mapping[str, str]] = {
    ENGLISH: en.TEXTS,
    "zh-CN": zh_cn.TEXTS,
    "zh-TW": zh_tw.TEXTS,
}
EXAMPLES = ("example_1", "example_2", "example_3", "example_4")


def say(language: str, key: str, **values: object) -> str:
    """The text `key` in `language`, with its places filled in."""
    return TEXTS[language][key].format(**values)


def for_browser() -> dict[str, dict[str, str]]:
    """The tables by the browser's language tag; zh alone is simplified, Hong Kong traditional."""
    aliases = {"zh": "zh-CN", "zh-SG": "zh-CN", "zh-HK": "zh-TW", "zh-MO": "zh-TW"}
    tables = {language: dict(TEXTS[language]) for language in LANGUAGES}
    return tables | {alias: tables[language] for alias, language in aliases.items()}


def language_of(accept_language: str | None) -> str:
    """The first language of an Accept-Language header (RFC 9110) that the page speaks."""
    for _, tag in sorted(map(_weighed, (accept_language or "").split(",")), reverse=True):
        if tag == "en" or tag.startswith("en-"):
            return ENGLISH
        if tag == "zh" or tag.startswith("zh-"):
            traditional = any(part in tag for part in ("tw", "hk", "mo", "hant"))
            return "zh-TW" if traditional else "zh-CN"
    return ENGLISH


def _weighed(item: str) -> tuple[float, str]:
    tag, _, weight = item.partition(";q=")
    try:
        return float(weight or 1), tag.strip().lower()
    except ValueError:
        return 0.0, tag.strip().lower()
