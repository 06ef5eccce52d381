"""The form of files in a message, and the ways back from it: exact, whatever a file says."""

from hypothesis import example, given
from hypothesis import strategies as st

from engine import Message
from tests.web.turns.test_history import page
from web.files.attachments import (
    Attachment,
    Said,
    read_message,
    read_page,
    readable_title,
    safe_name,
    size,
)
from web.turns.history import kept_messages, user_texts

REPORT = Attachment("report.pdf", 'Line one.\n\n</file>\n\n<file name="x"> & $a$ *b*', 4813)
NOTE = Attachment("note.txt", "</pre></div>\n\n`c` &amp; |d|", 12)

texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t<>&$"), max_size=60
)
files = st.builds(Attachment, texts.map(safe_name), texts, st.integers(0, 2**40))
sayings = st.builds(Said, texts, st.lists(files, max_size=3).map(tuple))


@given(sayings)
@example(Said("What?", (REPORT, NOTE)))
@example(Said("", (NOTE,)))
def test_the_engines_message_is_taken_apart_exactly(said: Said) -> None:
    assert read_message(said.message) == said


@given(sayings)
@example(Said("What?", (REPORT, NOTE)))
@example(Said("", (NOTE,)))
def test_the_pages_message_is_taken_apart_exactly(said: Said) -> None:
    assert read_page(said.shown()) == said
    assert read_page(said.shown('<span class="tools">1/2</span>')) == said


def test_what_the_model_sees_names_the_file_in_front_of_the_words() -> None:
    said = Said("What is it?", (Attachment("a.txt", "Text.", 5),))
    assert said.message == (
        '<file name="a.txt" bytes="5" characters="5">\nText.\n</file>\n\nWhat is it?'
    )


def test_typed_text_in_that_form_that_does_not_hold_is_no_file() -> None:
    typed = '<file name="a.txt" bytes="5" characters="99">\nText.\n</file>\n\nWhat?'
    assert read_message(typed) == Said(typed)


def test_a_chip_is_one_line_without_live_html() -> None:
    chips = Said("", (REPORT, NOTE)).shown().strip()
    assert "\n" not in chips
    assert chips.count("<details>") == chips.count("</details>") == chips.count("</pre>") == 2
    assert not set("$*`|") & set(chips)


def test_the_history_of_a_page_with_chips_matches_the_engines_messages() -> None:
    first, second = Said("What?", (REPORT,)), Said("And?", (NOTE,))
    canonical = [
        m for s in (first, second) for m in (Message("user", s.message), Message("assistant", "a"))
    ]
    shown = page(first.shown(), second.shown())
    assert user_texts(shown) == [first.message, second.message]
    assert kept_messages(shown[:2], canonical) == 2
    assert kept_messages(shown, canonical) == 4


def test_the_same_words_with_another_file_are_another_message() -> None:
    canonical = [Message("user", Said("What?", (REPORT,)).message), Message("assistant", "a"),
                 Message("user", Said("What?", (NOTE,)).message), Message("assistant", "a")]  # fmt: skip
    assert kept_messages(page(Said("What?", (NOTE,)).shown()), canonical) == 4


def test_names_are_made_safe() -> None:
    assert safe_name("../../etc/passwd") == "passwd"
    assert safe_name('C:\\x\\a"><script>.txt') == "a script .txt"
    assert safe_name("a\nb\u202e.txt") == "a b .txt"
    assert safe_name("") == "file"
    long = safe_name("n" * 300 + ".pdf")
    assert len(long) == 80
    assert long.endswith("….pdf")


def test_a_title_made_of_a_file_is_its_name() -> None:
    assert readable_title('<file name="report.pdf" bytes="48…') == "report.pdf"
    assert readable_title('<file name="a very long na…') == "a very long na…"
    assert readable_title("<file> is a tag") == "<file> is a tag"


def test_sizes_are_for_people() -> None:
    assert [size(n) for n in (0, 1023, 1024, 20480, 20 * 2**20)] == [
        "0 B", "1023 B", "1.0 KB", "20 KB", "20 MB"
    ]  # fmt: skip
