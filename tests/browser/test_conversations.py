"""Conversations as a person finds them again: by title, by address, in two tabs, in a file."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.page import (
    Held,
    addressed,
    answer_text,
    answers,
    ask,
    begin,
    choose,
    figures,
    finished,
    is_tick,
    lines,
    loading_steps,
    new_chat,
    questions,
    row_of,
    send,
    stop,
    titles,
)
from tests.scripted import End, Say
from tests.scripted.app import ScriptedApp

FRANCE, FRUIT, STORY = "What is the capital of France?", "Name a fruit.", "Tell me a story."


def open_conversation(page: Page) -> str:
    """What the address says is open."""
    return parse_qs(urlsplit(page.url).query)["c"][0]


def rename_first(page: Page, name: str) -> None:
    choose(page, page.locator(".shelf li").first, "rename")
    page.locator(".shelf input").fill(name)


def come_back_to(page: Page) -> None:
    """As if another window had been in front."""
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    page.evaluate("window.dispatchEvent(new Event('focus'))")


def save(page: Page, form: str, folder: Path) -> Path:
    with page.expect_download() as download:
        choose(page, page.locator(".shelf li[aria-current]"), form)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def load(page: Page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open a saved chat").click()
    chooser.value.set_files(path)


def test_conversations_are_listed_opened_renamed_found_and_deleted(
    page: Page, app: ScriptedApp
) -> None:
    items = page.locator(".shelf li")
    ask(page, FRANCE)
    expect(titles(page)).to_have_text([FRANCE])
    new_chat(page)
    begin(page, app)
    expect(titles(page)).to_have_text([STORY, FRANCE])
    titles(page).filter(has_text=FRANCE).click()  # in mid-stream
    expect(questions(page)).to_have_text([FRANCE])
    expect(answers(page).last).to_contain_text(f"You said: {FRANCE}")
    app.script.tell(End())
    assert "reused 0" not in ask(page, FRUIT, 2)
    expect(titles(page)).to_have_text([FRANCE, STORY])  # it has moved up
    rename_first(page, "Capitals")
    page.locator(".shelf input").press("Enter")
    expect(titles(page).first).to_have_text("Capitals")
    page.get_by_placeholder("Search").fill("once UPON")
    expect(titles(page)).to_have_text([STORY])
    page.get_by_placeholder("Search").fill("")
    expect(titles(page)).to_have_text(["Capitals", STORY])
    choose(page, items.first, "delete")
    expect(titles(page)).to_have_text([STORY])
    expect(questions(page)).to_have_count(0)
    page.locator(".undo button").click()
    expect(questions(page)).to_have_text([FRANCE, FRUIT])
    expect(titles(page).first).to_have_text("Capitals")


def test_the_models_name_for_a_conversation_comes_into_the_list(
    page: Page, app: ScriptedApp
) -> None:
    ask(page, FRANCE)
    addressed(page)
    app.engine.name(open_conversation(page), "Capital of France")
    expect(titles(page)).to_have_text(["Capital of France"])
    assert answer_text(page) == f"You said: {FRANCE}"


def test_the_address_names_the_open_conversation_but_never_its_owner(
    page: Page, app: ScriptedApp
) -> None:
    assert urlsplit(page.url).query == ""
    ask(page, FRANCE)
    france = addressed(page)
    new_chat(page)
    expect(page).to_have_url(app.url + "/")
    ask(page, FRUIT)
    fruit = addressed(page)
    assert fruit != france
    page.goto(france)
    expect(questions(page)).to_have_text([FRANCE])
    page.reload()
    expect(questions(page)).to_have_text([FRANCE])
    assert page.url == france
    query = parse_qs(urlsplit(fruit).query)
    assert set(query) == {"c"}
    page.locator(f'.shelf [data-id="{query["c"][0]}"] .open').click()
    expect(page).to_have_url(fruit)


def test_a_list_that_comes_before_the_conversation_does_not_take_its_address(
    page: Page, app: ScriptedApp
) -> None:
    """The server is slow to fill the settings in, behind which the page asks for its conversation."""
    ask(page, FRANCE)
    address = addressed(page)
    new_chat(page)
    settings, _ = loading_steps(page, app.url)
    held, is_listed = Held(page, {settings}), is_tick(page, app.url, "shelf")
    with page.expect_response(is_listed):
        page.goto(address)
        held.wait()
    held.go_on()
    expect(questions(page)).to_have_text([FRANCE])


def test_an_address_that_is_not_ones_own_opens_a_new_chat_with_a_sentence(
    page: Page, app: ScriptedApp, visitor: Visitor
) -> None:
    ask(page, FRANCE)
    address = addressed(page)
    stranger = visitor()
    for url in (address, f"{app.url}/?c={'x' * 32}", f"{app.url}/?c=..%2F..%2Fetc"):
        stranger.goto(url)
        expect(stranger.locator("#chat .notice")).to_contain_text("not among yours")
        expect(stranger.locator(".user.message, .shelf .title")).to_have_count(0)
    ask(stranger, FRUIT)


def test_two_tabs_on_one_conversation_keep_it_whole(page: Page, app: ScriptedApp) -> None:
    ask(page, FRANCE)
    other = page.context.new_page()
    other.goto(addressed(page))
    expect(questions(other)).to_have_text([FRANCE])
    begin(page, app)
    expect(answers(other).last).to_contain_text("Once upon")  # it follows by itself
    stop(other)
    for tab in page, other:
        finished(tab, 2)
    expect(questions(other)).to_have_text([FRANCE, STORY])
    send(other, FRUIT)
    expect(lines(other)).to_have_count(3)
    page.reload()
    expect(questions(page)).to_have_text([FRANCE, STORY, FRUIT])


def test_a_name_that_is_being_typed_stays_while_the_list_changes(page: Page) -> None:
    """Another tab pins the conversation; so it is when the model has named it."""
    ask(page, FRANCE)
    other = page.context.new_page()
    other.goto(addressed(page))
    name = page.locator(".shelf input")
    rename_first(page, "Capi")
    choose(other, other.locator(".shelf li"), "pin")
    expect(other.locator(".shelf [data-pinned]")).to_have_count(1)
    other.close()
    come_back_to(page)
    expect(page.locator(".shelf [data-pinned]")).to_have_count(1)
    expect(name).to_be_focused()
    page.keyboard.type("tals")
    page.keyboard.press("Enter")
    expect(titles(page)).to_have_text(["Capitals"])
    expect(name).to_have_count(0)


def test_renaming_another_conversation_ends_the_first_one(page: Page) -> None:
    for count in (1, 2):
        ask(page, FRANCE)
        expect(titles(page)).to_have_count(count)
        new_chat(page)
    for i, name in enumerate(("One", "Two")):
        choose(page, page.locator(".shelf li").nth(i), "rename")
        expect(page.locator(".shelf input")).to_have_count(1)
        page.locator(".shelf input").fill(name)
    page.keyboard.press("Enter")
    expect(page.locator(".shelf input")).to_have_count(0)
    expect(page.locator(".shelf .open")).to_have_text(["One", "Two"])
    expect(page.locator(".shelf .open").last).to_be_visible()


def test_the_list_is_used_by_keyboard(page: Page) -> None:
    ask(page, FRANCE)
    page.locator(".shelf .open").focus()
    more, entry = page.locator(".shelf .more"), page.locator(".row-menu [role=menuitem]:focus")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(entry).to_have_text("Rename")
    page.keyboard.press("Escape")
    expect(page.locator(".row-menu")).to_have_count(0)
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    expect(entry).to_have_text("Pin")
    page.keyboard.press("Enter")
    expect(page.locator(".shelf [data-pinned]")).to_have_count(1)
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # rename
    page.keyboard.type("Capitals")
    page.keyboard.press("Enter")
    expect(titles(page)).to_have_text(["Capitals"])
    expect(page.locator(".shelf .open")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    expect(entry).to_have_text("Delete")
    page.keyboard.press("Enter")
    expect(page.locator(".undo button")).to_be_focused()
    expect(titles(page)).to_have_count(0)
    page.keyboard.press("Enter")
    expect(titles(page)).to_have_text(["Capitals"])
    expect(questions(page)).to_have_text([FRANCE])


def test_a_conversation_is_saved_and_opened_again(page: Page, tmp_path: Path) -> None:
    ask(page, FRANCE)
    old = addressed(page)
    rename_first(page, "Paris/France")
    page.locator(".shelf input").press("Enter")
    expect(titles(page)).to_have_text(["Paris/France"])
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    files = {form: save(page, form, tmp_path) for form in ("markdown", "json", "portable")}
    assert {path.name for path in files.values()} == {
        "Paris France.md", "Paris France.json", "Paris France.warmchat",
    }  # fmt: skip
    owner = page.evaluate("localStorage.getItem('warmchat')")
    assert all(owner not in url for url in requests)
    assert files["markdown"].read_text("utf-8").startswith(f"## User\n\n{FRANCE}")
    assert json.loads(files["json"].read_text("utf-8"))["messages"][0]["content"] == FRANCE
    load(page, files["portable"])
    expect(titles(page)).to_have_count(2)
    expect(page).not_to_have_url(old)
    expect(questions(page)).to_have_text([FRANCE])
    send(page, FRUIT)
    expect(questions(page)).to_have_count(2)
    expect(lines(page).last).to_have_attribute("title", re.compile(r"reused \d\d+ \(memory\)"))
    reused, prefilled = figures(lines(page).last.inner_text())
    assert reused > len(FRANCE)
    assert prefilled < 50
    load(page, files["markdown"])
    expect(titles(page)).to_have_count(3)


def test_a_file_that_is_no_conversation_gets_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("Only notes.", "utf-8")
    load(page, tmp_path / "notes.md")
    expect(page.get_by_test_id("toast-body")).to_contain_text("could not be opened")
    expect(titles(page)).to_have_count(0)


def test_a_notice_covers_no_control_of_the_header(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("Only notes.", "utf-8")
    load(page, tmp_path / "notes.md")
    expect(page.get_by_test_id("toast-body")).to_be_visible()
    expect(page.locator(".toast-title")).to_have_css("display", "none")  # "Warning", in English
    header = page.locator("#header").bounding_box()
    toast = page.locator(".toast-wrap").bounding_box()
    assert header is not None
    assert toast is not None
    assert toast["y"] >= header["y"] + header["height"], "the header is covered"


def test_the_menu_of_a_row_closes_and_stops_nothing(page: Page, app: ScriptedApp) -> None:
    begin(page, app)
    expect(titles(page)).to_have_count(1)
    menu, more = page.locator(".row-menu"), page.locator(".shelf .more")
    page.locator(".shelf li").hover()
    close: list[Callable[[], None]] = [
        lambda: page.keyboard.press("Escape"),
        lambda: page.mouse.click(700, 300),
        more.click,
        lambda: page.keyboard.press("Tab"),
    ]
    for closes in close:
        more.click()
        expect(menu.get_by_role("menuitem", name="Rename")).to_be_focused()
        expect(menu.get_by_role("menuitem", name="Unpin")).to_have_count(0)
        closes()
        expect(menu).to_have_count(0)
    app.script.tell(Say(" a time."), End())
    assert "stopped" not in finished(page)


def test_an_input_methods_keys_neither_rename_nor_stop(page: Page, app: ScriptedApp) -> None:
    """Enter and Escape choose a word, or give it up, while it is being composed."""
    begin(page, app)
    expect(titles(page)).to_have_count(1)
    rename_first(page, "Pa")
    name = page.locator(".shelf input")
    for field in (name, page.get_by_placeholder("Search")):
        for key in ("Enter", "Escape"):
            field.dispatch_event("keydown", {"key": key, "isComposing": True, "bubbles": True})
    expect(name).to_have_value("Pa")
    name.press("Escape")
    expect(name).to_have_count(0)
    app.script.tell(Say(" a time."), End())
    assert "stopped" not in finished(page)
    expect(titles(page)).to_have_text([STORY])


def test_dots_tell_what_is_written_and_what_has_ended_unseen(page: Page, app: ScriptedApp) -> None:
    ask(page, FRANCE)
    new_chat(page)
    begin(page, app)
    expect(titles(page)).to_have_text([STORY, FRANCE])
    titles(page).filter(has_text=FRANCE).click()
    expect(page.get_by_role("img", name="An answer is being written")).to_be_visible()
    app.script.tell(End())
    expect(page.get_by_role("img", name="New answer")).to_be_visible()
    titles(page).filter(has_text=STORY).click()
    expect(questions(page)).to_have_text([STORY])
    expect(page.locator(".shelf .dot")).to_have_count(0)


def test_undo_brings_back_what_was_deleted_beside_what_is_being_read(page: Page) -> None:
    ask(page, FRANCE)
    new_chat(page)
    ask(page, FRUIT)
    expect(titles(page)).to_have_text([FRUIT, FRANCE])
    choose(page, row_of(page, FRANCE), "delete")
    page.locator(".undo button").click()
    expect(titles(page)).to_have_text([FRUIT, FRANCE])
    expect(page.locator(".shelf [aria-current]")).to_contain_text(FRUIT)
    expect(questions(page)).to_have_text([FRUIT])
