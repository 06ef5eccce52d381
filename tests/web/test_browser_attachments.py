"""Files in the real page with the real model: chosen, dropped and pasted; read ahead; refused."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.browsing import (
    PATIENCE_S,
    App,
    be_brief,
    begin,
    come_back,
    finished,
    lines,
    send,
    start,
    stop,
)
from tests.web.files.test_documents import encrypted_pdf, pdf, word

pytestmark = pytest.mark.browser
REPORT = "\n\n".join(f"Paragraph {i}: $x_{i}$ *ships* lay in <b>Bremen</b>." for i in range(160))


def attach(page: Page, **files: bytes) -> None:
    """Choose files; a double underscore in a name stands for its dot."""
    with page.expect_file_chooser() as chooser:
        page.locator("#attach [data-act=add]").click()
    chosen: Any = [
        {"name": name.replace("__", "."), "mimeType": "", "buffer": raw}
        for name, raw in files.items()
    ]
    chooser.value.set_files(chosen)
    expect(page.locator("#attach .waiting[aria-busy]")).to_have_count(0)


def hand_over(page: Page, event: str, target: str) -> None:
    """A file is dropped or pasted."""
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


def test_a_file_is_read_ahead_answered_and_shown_after_a_reload(page: Page) -> None:
    attach(page, report__txt=REPORT.encode())
    expect(page.locator("#attach li")).to_have_text(re.compile(r"report\.txt\s*\d\.\d KB"))
    expect(page.locator("#draft .draft_pending")).to_have_text(re.compile(r"reading ahead … \d+ %"))
    expect(page.locator("#draft .draft_ready")).to_be_visible()
    send(page, "Which city is it?")
    answer = finished(page, 1)
    reused, prefilled = re.search(r"reused ([\d,]+) .*prefilled (\d+)", answer).groups()  # type: ignore[union-attr]
    assert int(reused.replace(",", "")) > 3000
    assert int(prefilled) < 30
    expect(page.locator("#attach li")).to_have_count(0)
    for _ in range(2):
        expect(page.locator("#chat .attachments summary")).to_have_text(
            re.compile(r"report\.txt \d\.\d KB")
        )
        page.locator("#chat .attachments summary").click()
        seen = page.locator("#chat .attachments pre").text_content() or ""
        assert (
            seen
            == f'<file name="report.txt" bytes="{len(REPORT)}" characters="{len(REPORT)}">\n{REPORT}\n</file>\n\n'
        )
        assert page.locator(".user.message").inner_text().endswith("Which city is it?")
        page.reload()


def test_retry_edit_and_undo_keep_the_file(page: Page) -> None:
    attach(page, note__md=b"The ship is violet.")
    send(page, "Which colour?")
    finished(page, 1)
    page.locator("#chat").get_by_label("Retry").last.click()
    expect(page.locator("#chat .versions")).to_contain_text("2/2")
    finished(page, 1)
    page.locator("#chat").get_by_label("Edit").first.click()
    box = page.locator("#chat textarea")
    expect(box).to_have_value("Which colour?")
    box.fill("What is violet?")
    page.locator("#chat").get_by_label("Submit").first.click()
    expect(page.locator(".user.message")).to_contain_text("What is violet?")
    finished(page, 1)
    expect(page.locator("#chat .attachments summary")).to_have_text(re.compile(r"note\.md 19 B"))
    page.locator("#chat").get_by_label("Undo").last.click()
    expect(page.locator("#message textarea")).to_have_value("What is violet?")
    expect(page.locator("#attach li")).to_contain_text("note.md")
    expect(lines(page)).to_have_count(0)


def test_files_are_dropped_pasted_and_taken_away_again(page: Page) -> None:
    chips = page.locator("#attach li")
    hand_over(page, "drop", "#chat")
    expect(chips).to_have_count(1)
    hand_over(page, "paste", "#message textarea")
    expect(chips).to_have_count(2)
    page.get_by_label("Remove drop.txt").click()
    expect(chips).to_have_text([re.compile(r"paste\.txt")])


def test_what_cannot_be_read_gets_a_sentence_and_the_rest_is_attached(page: Page) -> None:
    attach(
        page,
        locked__pdf=encrypted_pdf("password"),
        scan__pdf=pdf(""),
        photo__png=b"\x89PNG\r\n\x1a\n",
        program=bytes(range(256)) * 20,
        huge__txt=b"a" * (20 * 2**20 + 1),
        long__txt=b"word " * 9000,
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
    expect(page.locator("#attach li")).to_have_count(2)
    send(page, "")
    finished(page, 1)
    page.locator("#chat .attachments summary").last.click()
    expect(page.locator("#chat .attachments pre").last).to_contain_text("Bremen lies on the Weser.")


def test_a_file_attached_during_an_answer_is_read_ahead_after_it(page: Page) -> None:
    begin(page)
    stop(page)
    finished(page, 1)
    page.locator("#chat").get_by_label("Retry").last.click()
    expect(page.get_by_test_id("stop-button").first).to_be_visible()
    attach(page, note__txt=b"The ship is violet. " * 20)
    expect(page.locator("#attach li")).to_have_count(1)
    page.wait_for_timeout(600)  # the answer must not end meanwhile
    expect(page.locator("#draft")).to_have_text("")
    stop(page)
    finished(page, 1)
    expect(page.locator("#draft .draft_ready")).to_be_visible()
    be_brief(page)
    send(page, "Which colour?")
    prefilled = re.search(r"prefilled (\d+)", finished(page, 2))
    assert prefilled is not None
    assert int(prefilled[1]) < 40


def test_chips_are_there_after_a_restart(page: Page, app: App, smollm2_dir: Any) -> None:
    """Comes last: it ends the app of this file, and starts it again."""
    attach(page, note__txt=b"The ship is violet.")
    send(page, "Which colour?")
    finished(page, 1)
    app.program.terminate()
    assert app.program.wait(PATIENCE_S) == 0
    app.program = start(smollm2_dir, app.data_dir, app.port).program
    app.wait_ready()
    come_back(page, app)
    expect(page.locator("#chat .attachments summary")).to_have_text(re.compile(r"note\.txt 19 B"))
    send(page, "Are you sure?")
    assert "reused 0" not in finished(page, 2)
