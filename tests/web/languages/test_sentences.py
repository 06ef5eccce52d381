"""What the engine, the export and the start say is said in every language.

The test reads all sources (tests/web/languages/sources.py), so a new sentence without translations
fails it. Left out is what cannot reach a page: options and users are refused before there is a server,
`engine.config` and `export.formats` by the same limits that options have, and what is said to a model
or to a program is no word for people: `api/` speaks English to programs alone, as the APIs do that it follows. Words of pypdf, OpenVINO, Jinja, Python or the system, in the
places of our sentences, stay as they are.
"""

import ast
import re

import pytest

from engine.metrics import TurnClock
from engine.tiers import Reason, SnapshotRefused
from engine.turns.opening import HIDDEN
from engine.turns.replies import CONTEXT_FULL
from tests.web.languages.sources import collected, error_names, said_in, template
from web.languages import ENGLISH, translated
from web.languages.sentences import SENTENCES, WORDS

LANGUAGES = sorted(SENTENCES)
# In the terminal, before there is a page or instead of one.
COMMAND_LINE = {
    "engine/config.py", "export/__init__.py", "export/__main__.py", "export/formats.py", "web/crowd.py", "web/keys.py",
    "web/lean.py", "web/option_values.py", "web/options.py", "web/serve.py", "web/server.py", "web/users.py",
}  # fmt: skip
# Pages ask for no grammar; programs do.
PROGRAMS = {
    "engine/grammars/compiler.py",
    "engine/grammars/constraint.py",
    "engine/grammars/grammar.py",
    "engine/scheduling/bias.py",
}
LEFT_OUT = COMMAND_LINE | PROGRAMS
NOT_FOR_PAGES = {
    # The terminal's: --kv, and --model.
    "There is no KV form {} (there are: stateful, explicit).",
    "{}: no openvino_model.xml and .bin in this directory; export it first: python -m export {} --out DIR.",
    "{} is neither a known model ({}, {}), nor a model directory, nor a .gguf file, nor owner/name on the hub.",
    # The terminal's: --chat.
    "{}: Ctrl-C stops an answer, Ctrl-D ends the chat.",
    # Models read these.
    "Give this conversation a title of at most six words.",
    "You are a helpful AI assistant. Answer in plain English.",
    # Programs read this.
    "The model has no such token.",
    # Told to Gradio's parser, and to whoever asks for pictures by their address.
    "The body is too large, or broke off.",
    "There is no such icon.",
}  # fmt: skip


def table(language: str) -> dict[str, str]:
    return {**SENTENCES[language], **WORDS[language]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_that_can_reach_a_page_is_translated_and_no_translation_is_dead(
    language: str,
) -> None:
    found = {text for text, files in collected().items() if not files <= LEFT_OUT}
    known = {template(english) for english in table(language)}
    assert sorted(found - known - NOT_FOR_PAGES) == [], "these have no translation"
    assert sorted(known - found) == [], "these are said nowhere"


def test_what_is_left_out_is_there() -> None:
    found = collected()
    assert found.keys() >= NOT_FOR_PAGES
    assert {file for files in found.values() for file in files} >= LEFT_OUT


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("raise RequestError(f'No more than {MOST:,} at once; wait.')", "No more than {} at once; wait."),
        ("raise ExportError('lower case, and no end')", "lower case, and no end"),
        ("return NotOnHub(f'{name} is ' f'away: ask {whom!r}')", "{} is away: ask {}"),
        ("NEW = 'The {thing:,} is new.'", "The {} is new."),
        ("NEW = 'It could not be done: {reason}'", "It could not be done: {}"),
        ("clock.notes.append('It was done again.')", "It was done again."),
        ("require(low < high, 'Choose again')", "Choose again"),
        ("class Why(Enum):\n    NEW = 'Because of this'", "Because of this"),
        ("self._failure = f'It broke: {error}'", "It broke: {}"),
        ("raise ExportError('so it is' if a else 'or not')", "or not"),
    ],
)  # fmt: skip
def test_a_new_sentence_is_seen_in_its_source(source: str, sentence: str) -> None:
    assert sentence in said_in(ast.parse(source), error_names())


def test_what_is_not_said_to_people_is_not_seen() -> None:
    source = """def f():
    'A docstring of one sentence.'
    log.warning('Something for the log alone.')
    raise RequestError(NAMED)
"""
    assert said_in(ast.parse(source), error_names()) == set()


def test_the_languages_have_the_same_sentences_with_the_same_places() -> None:
    first, *others = LANGUAGES
    for language in others:
        assert list(table(language)) == list(table(first))
    for language in LANGUAGES:
        for english, said in table(language).items():
            assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", said)), english


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_known_by_its_own_template_alone(language: str) -> None:
    """Not taken for another one, whatever fills its places."""
    for english, said in SENTENCES[language].items():
        if re.search("[a-z]", re.sub("{.*?}", "", english)):
            places = {
                name: f"m-{i}/{i}.x" for i, name in enumerate(re.findall(r"{(\w+)}", english))
            }
            assert translated(english.format(**places), language) == said.format(**places)


def test_sentences_that_follow_each_other_are_each_translated() -> None:
    clock = TurnClock()
    clock.notes += [
        str(SnapshotRefused(Reason.MODEL, "a.b, here d.e")),
        str(SnapshotRefused(Reason.DAMAGED)),
        HIDDEN.format(first=3),
        CONTEXT_FULL.format(limit=8192),
    ]
    assert translated(clock.figures().note, "zh-CN") == (
        "快照由另一个模型生成：文件中为 a.b，此处为 d.e。快照文件已损坏。"
        "对话太长，上下文已放不下；模型现在从第 3 条消息看起。"
        "模型的上下文（8,192 个词元）已满，回答到此为止。"
    )


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("The model could not be loaded: There is no memory for 1,000 bytes.", "模型无法加载：内存不足，无法分配 1,000 字节。"),
        ("The model could not be loaded: Check 'x' failed. Sorry", "模型无法加载：Check 'x' failed. Sorry"),
        ("The temperature must be a number from 0 to 100.", "温度：必须是 0 到 100 之间的数。"),
        ("a/b could not be fetched from the Hugging Face hub; check the network (HF_ENDPOINT names a mirror), then run the same command: the download resumes.",
         "无法从 Hugging Face 取得 a/b。请检查网络（可用 HF_ENDPOINT 指定镜像站），然后运行同一命令：下载会接着进行。"),
        ("models/{x}: no a.xml in it. Export the model again with `python -m export`.",
         "models/{x}：其中没有 a.xml。请用 `python -m export` 重新导出模型。"),
    ],
)  # fmt: skip
def test_what_fills_a_place_is_translated_if_it_is_known(english: str, chinese: str) -> None:
    assert translated(english, "zh-CN") == chinese


@pytest.mark.parametrize(
    "text", ["", "Out of cheese.", "data: Permission denied.", "文件超过 1.0 MB。", "The message is empty"]
)  # fmt: skip
def test_what_is_not_known_stays_as_it_is(text: str) -> None:
    assert translated(text, "zh-TW") == text


def test_english_stays_english() -> None:
    assert translated(ValueError("The message is empty; write something first."), ENGLISH) == (
        "The message is empty; write something first."
    )
