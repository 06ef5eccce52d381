"""An answer that a person edits on the page: in its place, as the model wrote it, in a version of its own."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.page import (
    answer_text,
    answers,
    ask,
    begin,
    finished,
    lines,
    questions,
    send,
    tool,
)
from tests.scripted import End, Say
from tests.scripted.app import ScriptedApp

FRANCE, SURE = "What is the capital of France?", "Sure?"
SOURCE = "\n  It is **Paris**, $x^2$ <b> ${value} {{value}} &amp; `\\n`\n\n- one\n- two\n"
THOUGHTS = "<think>\nThey ask for a capital.\n</think>\n\n"


def editor(page: Page) -> Locator:
    return page.locator("#chat .editor textarea")


def open_editor(page: Page) -> Locator:
    """Press the pencil of the last answer; the box that comes."""
    tool(page, "Edit answer").last.click()
    expect(editor(page)).to_be_focused()
    return editor(page)


def save(page: Page) -> None:
    page.locator("#chat .editor").get_by_role("button", name="Save").click()
    expect(editor(page)).to_have_count(0)


def test_an_edited_answer_is_a_version_from_which_the_talk_goes_on(
    page: Page, app: ScriptedApp
) -> None:
    app.script.write(Say(THOUGHTS + SOURCE))
    ask(page, FRANCE)
    box = open_editor(page)
    expect(box).to_have_value(SOURCE.lstrip("\n"))
    box.fill(SOURCE.strip().replace("Paris", "Lyon"))
    save(page)
    expect(answers(page).last.locator("strong")).to_have_text("Lyon")
    expect(page.locator("#chat .thought-group")).to_have_count(1)
    expect(lines(page)).to_have_text(["edited"])
    expect(page.locator("#chat .versions")).to_contain_text("2/2")
    assert app.script.asked == [FRANCE], "nothing was generated"
    ask(page, SURE, 2)
    expect(questions(page)).to_have_text([FRANCE, SURE])
    tool(page, "Earlier version").click()
    expect(answers(page).locator("strong")).to_have_text("Paris")
    expect(questions(page)).to_have_text([FRANCE])
    page.reload()
    tool(page, "Later version").click()
    expect(lines(page).first).to_have_text("edited")
    expect(questions(page)).to_have_text([FRANCE, SURE])


def test_an_edited_answer_goes_on(page: Page, app: ScriptedApp) -> None:
    ask(page, FRANCE)
    open_editor(page).fill("It is")
    save(page)
    app.script.write(Say(" Lyon."))
    tool(page, "Go on with this answer").click()
    expect(lines(page)).to_contain_text(["edited · first token"])
    assert answer_text(page) == "It is Lyon."
    expect(tool(page, "Go on with this answer")).to_have_count(0)


def test_the_box_for_an_answer_is_as_wide_as_the_column_and_five_lines_high(page: Page) -> None:
    ask(page, FRANCE)
    box, column = open_editor(page), page.locator("#chat .message-wrap")
    height, line = box.evaluate(
        "box => [box.clientHeight, parseFloat(getComputedStyle(box).lineHeight)]"
    )
    assert height >= 5 * line
    width = column.evaluate("wrap => wrap.clientWidth")
    assert box.evaluate("box => box.offsetWidth") == width
    expect(tool(page, "Retry")).to_be_hidden()


def test_escape_cancels_and_keys_of_an_input_method_do_nothing(
    page: Page, app: ScriptedApp
) -> None:
    answer = ask(page, FRANCE)
    box = open_editor(page)
    box.fill("巴黎")
    for key, ctrl in ("Escape", "false"), ("Enter", "true"):
        box.evaluate(
            "(box, [key, ctrlKey]) => box.dispatchEvent(new KeyboardEvent('keydown',"
            " { key, ctrlKey: ctrlKey === 'true', isComposing: true, bubbles: true }))",
            [key, ctrl],
        )
    expect(box).to_have_value("巴黎")
    box.press("Enter")
    expect(box).to_have_value("巴黎\n")
    box.press("Escape")
    expect(box).to_have_count(0)
    expect(tool(page, "Edit answer")).to_be_focused()
    assert finished(page) == answer
    expect(open_editor(page)).to_have_value(f"You said: {FRANCE}")
    editor(page).fill("Lyon")
    editor(page).press("Control+Enter")
    expect(lines(page)).to_have_text(["edited"])
    assert answer_text(page) == "Lyon"
    assert app.script.asked == [FRANCE]


def test_what_cannot_be_saved_now_stays_in_the_box(page: Page, app: ScriptedApp) -> None:
    """Another answer is being written behind it."""
    ask(page, FRANCE)
    open_editor(page).fill("Lyon")
    begin(page, app)
    expect(tool(page, "Edit answer")).to_have_count(1)  # none at what is still being written
    editor(page).press("Control+Enter")
    expect(page.get_by_test_id("toast-body")).to_contain_text("still being written")
    expect(editor(page)).to_have_value("Lyon")
    app.script.tell(End())
    finished(page, 2)
    expect(editor(page)).to_have_value("Lyon")
    save(page)
    expect(questions(page)).to_have_text([FRANCE])
    assert answer_text(page) == "Lyon"
    send(page, SURE)
    expect(lines(page)).to_have_count(2)
    expect(lines(page).last).to_have_text(re.compile("first token"))
