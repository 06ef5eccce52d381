"""Files as a person attaches them: chosen, dropped and pasted; read ahead; refused; kept with the message."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from playwright.sync_api import APIResponse, Locator, Page, Route, expect

from tests.browser.page import (
    FRAME,
    answers,
    ask,
    box,
    figures,
    finished,
    in_a_new_tab,
    is_tick,
    lines,
    questions,
    send,
    stop,
    tool,
)
from tests.scripted import HOLD, Say
from tests.scripted.app import ScriptedApp
from tests.web.files.test_documents import encrypted_pdf, pdf, word

REPORT = "\n\n".join(f"Paragraph {i}: $x_{i}$ *ships* lay in <b>Bremen</b>." for i in range(100))
NOTE = "The ship is violet."
NOTE_BLOCK = f'<file name="note.md" bytes="19" characters="19">\n{NOTE}\n</file>\n\n'


def attach(page: Page, **files: bytes) -> None:
    """Choose files, and wait until they are read; a double underscore in a name stands for its dot."""
    with page.expect_file_chooser() as chooser:
        page.locator("#attach [data-act=add]").click()
    rendering = page.locator("#attach .waiting").get_attribute("data-rendering")
    with TemporaryDirectory() as folder:
        for name, raw in files.items():
            Path(folder, name.replace("__", ".")).write_bytes(raw)
        chooser.value.set_files([Path(folder, name.replace("__", ".")) for name in files])
        later = page.locator(f"#attach .waiting:not([data-rendering='{rendering}'])")
        expect(later).to_be_attached()


def chips(page: Page) -> Locator:
    """The files that wait for the next message."""
    return page.locator("#attach li")


def attached(page: Page) -> Locator:
    """The names of the files in the chat."""
    return page.locator("#chat .attachments summary")


def hand_over(page: Page, event: str, target: str) -> None:
    """A file is dropped or pasted."""
    expect(page.locator("#attach [data-act=add]")).to_be_visible()  # so they are listened for
    page.evaluate(
        """([event, target]) => {
            const data = new DataTransfer();
            data.items.add(new File(['Violet.'], `${event}.txt`));
            const options = { bubbles: true, cancelable: true };
            document.querySelector(target).dispatchEvent(event === 'drop'
                ? new DragEvent('drop', { ...options, dataTransfer: data })
                : new ClipboardEvent('paste', { ...options, clipboardData: data }));
        }""",
        [event, target],
    )


def test_a_file_that_does_not_arrive_is_named(page: Page) -> None:
    page.route("**/upload*", lambda route: route.abort())
    attach(page, note__md=NOTE.encode())
    expect(page.locator("#attach .refusals")).to_have_text(
        "note.md did not arrive; attach it again."
    )
    expect(chips(page)).to_have_count(0)


@pytest.mark.parametrize("how", ["Enter", "click"])
def test_a_message_waits_for_a_file_that_is_on_its_way(page: Page, how: str) -> None:
    on_their_way: list[Route] = []
    page.route("**/upload*", lambda route: on_their_way.append(route))  # noqa: PLW0108  (needs attributes)
    with page.expect_file_chooser() as chooser:
        page.locator("#attach [data-act=add]").click()
    with TemporaryDirectory() as folder:
        Path(folder, "note.md").write_text(NOTE)
        Path(folder, "other.txt").write_text("Another.")
        chooser.value.set_files([Path(folder, "note.md"), Path(folder, "other.txt")])
        expect(chips(page)).to_have_text(["note.md", "other.txt"])
        box(page).fill("Which colour?")
        if how == "Enter":
            box(page).press("Enter")
        else:
            page.locator("#message .submit-button").click()
        expect(box(page)).to_have_value("Which colour?")
        for _ in range(2):
            while not on_their_way:
                page.evaluate(FRAME)  # lets what came be told
            on_their_way.pop().continue_()
        finished(page)
    expect(attached(page)).to_have_text([re.compile("note.md"), re.compile("other.txt")])
    expect(questions(page)).to_contain_text(["Which colour?"])


def test_an_answer_that_is_overtaken_takes_no_chip_away(page: Page) -> None:
    answered: list[tuple[Route, APIResponse]] = []

    def keep_back(route: Route) -> None:
        told = (route.request.post_data_json or {}).get("event_data")
        if isinstance(told, dict) and told.get("act") == "add":
            answered.append((route, route.fetch()))
        else:
            route.continue_()

    page.route("**/run/**", keep_back)
    hand_over(page, "drop", "#chat")
    while not answered:
        page.evaluate(FRAME)  # lets what came be told
    hand_over(page, "paste", "#message textarea")
    while len(answered) < 2:
        page.evaluate(FRAME)
    for route, answer in reversed(answered):
        route.fulfill(response=answer)
    expect(chips(page)).to_have_text([re.compile("drop.txt"), re.compile("paste.txt")])
    page.get_by_label("Remove drop.txt").click(trial=True)
    ask(page, "Which colour?")
    expect(attached(page)).to_have_count(2)


def test_a_file_is_read_ahead_answered_and_shown_after_a_reload(
    page: Page, app: ScriptedApp
) -> None:
    app.engine.pause_idle_work()
    attach(page, report__txt=REPORT.encode())
    expect(chips(page)).to_have_text(re.compile(r"report\.txt\s*\d\.\d KB"))
    expect(page.locator("#draft .draft_pending")).to_have_text("reading ahead …")
    app.engine.pause_idle_work(False)
    expect(page.locator("#draft .draft_ready")).to_be_visible()
    reused, prefilled = figures(ask(page, "Which city is it?"))
    assert reused > len(REPORT)
    assert prefilled < 60, "a token is a byte here, and the words are read with the message"
    expect(chips(page)).to_have_count(0)
    shown_with_its_file(page)
    page.reload()
    expect(lines(page)).to_have_count(1)
    shown_with_its_file(page)


def shown_with_its_file(page: Page) -> None:
    expect(attached(page)).to_have_text(re.compile(r"report\.txt \d\.\d KB"))
    attached(page).click()
    size = f'bytes="{len(REPORT)}" characters="{len(REPORT)}"'
    shown = page.locator("#chat .attachments pre").text_content()
    assert shown == f'<file name="report.txt" {size}>\n{REPORT}\n</file>\n\n'
    assert questions(page).inner_text().endswith("Which city is it?")


def test_retry_edit_and_undo_keep_the_file(page: Page, app: ScriptedApp) -> None:
    chat = page.locator("#chat")
    attach(page, note__md=NOTE.encode())
    ask(page, "Which colour?")
    tool(page, "Retry").last.click()
    expect(chat.locator(".versions")).to_contain_text("2/2")
    finished(page)
    chat.get_by_label("Edit").first.click()
    expect(chat.locator("textarea")).to_have_value("Which colour?")
    chat.locator("textarea").fill("What is violet?")
    chat.get_by_label("Submit").first.click()
    expect(answers(page).last).to_contain_text("What is violet?")
    finished(page)
    expect(attached(page)).to_have_text(re.compile(r"note\.md 19 B"))
    said = ["Which colour?", "Which colour?", "What is violet?"]
    assert app.script.asked == [NOTE_BLOCK + words for words in said]
    tool(page, "Undo").last.click()
    expect(box(page)).to_have_value("What is violet?")
    expect(chips(page)).to_have_text(re.compile(r"note\.md"))
    expect(lines(page)).to_have_count(0)
    send(page, "Is it?")
    finished(page)
    assert app.script.asked[-1] == NOTE_BLOCK + "Is it?"


def test_files_are_dropped_pasted_and_taken_away_again(page: Page, app: ScriptedApp) -> None:
    hand_over(page, "drop", "#chat")
    expect(chips(page)).to_have_count(1)
    hand_over(page, "paste", "#message textarea")
    expect(chips(page)).to_have_count(2)
    page.get_by_label("Remove drop.txt").click()
    expect(chips(page)).to_have_text([re.compile(r"paste\.txt")])
    ask(page, "Which?")
    assert re.findall(r'<file name="([^"]*)"', app.script.asked[0]) == ["paste.txt"]


def test_what_cannot_be_read_gets_a_sentence_and_the_rest_is_attached(page: Page) -> None:
    attach(
        page,
        locked__pdf=encrypted_pdf("password"),
        scan__pdf=pdf(""),
        photo__png=b"\x89PNG\r\n\x1a\n",
        program=bytes(range(256)) * 20,
        huge__txt=b"a" * (20 * 2**20 + 1),
        long__txt=b"word " * 1800,
        letter__docx=word(),
        page__pdf=pdf("Bremen lies on the Weser."),
    )
    said = "\n".join(page.locator("#attach .refusals p").all_inner_texts())
    for sentence in (
        "locked.pdf is protected by a password",
        "scan.pdf holds pictures of its pages but no text",
        ".png files cannot be read",
        "program is not text",
        "huge.txt is larger than 20 MB",
        "long.txt has 9,0",
        "context of 8,192 tokens, files may take 6,144",
    ):
        assert sentence in said
    expect(chips(page)).to_have_text([re.compile("letter.docx"), re.compile("page.pdf")])
    ask(page, "")
    attached(page).last.click()
    expect(page.locator("#chat .attachments pre").last).to_contain_text("Bremen lies on the Weser.")


def test_a_file_attached_during_an_answer_is_read_ahead_after_it(
    page: Page, app: ScriptedApp
) -> None:
    page.get_by_role("button", name="What is the capital of France?").click()  # nothing is typed
    finished(page)
    app.script.write(Say("Once upon"), HOLD)
    tool(page, "Retry").last.click()
    expect(answers(page).last).to_contain_text("Once upon")
    with page.expect_response(
        is_tick(page, app.url, "draft")
    ):  # so the draft that makes it tick is shown
        attach(page, note__md=NOTE.encode() * 20)
    expect(chips(page)).to_have_count(1)
    expect(page.locator("#draft")).to_have_text("")
    assert app.script.drafts == []
    stop(page)
    finished(page)
    expect(page.locator("#draft .draft_ready")).to_be_visible()
    reused, prefilled = figures(ask(page, "Which colour?", 2))
    assert reused > 20 * len(NOTE)
    assert prefilled < 60


def test_chips_are_there_after_a_restart(page: Page, app: ScriptedApp) -> None:
    attach(page, note__md=NOTE.encode())
    ask(page, "Which colour?")
    app.stop()
    app.start()
    page = in_a_new_tab(page)
    expect(lines(page)).to_have_count(1)
    expect(attached(page)).to_have_text(re.compile(r"note\.md 19 B"))
    reused, _ = figures(ask(page, "Are you sure?", 2))
    assert reused > len(NOTE_BLOCK)


def test_a_file_of_unsure_charset_can_be_read_in_another(page: Page, app: ScriptedApp) -> None:
    attach(page, note__txt="PostgreSQL 擴".encode("big5"))
    choice = page.get_by_label("Charset of note.txt; it is not certain")
    expect(choice).to_be_visible()
    choice.select_option("koi8_r")
    expect(chips(page).locator("q")).to_contain_text("бX")
    choice.focus()
    choice.select_option("cp950")
    expect(chips(page).locator("q")).to_contain_text("擴")
    expect(choice).to_have_value("cp950")
    expect(choice).to_be_focused()
    ask(page, "What is it?")
    assert "\nPostgreSQL 擴\n" in app.script.asked[-1]
