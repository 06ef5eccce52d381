"""Conversations as a person finds them again: by title, by address, in two tabs, in a file."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.browsing import LONG, App, be_brief, begin, finished, lines, send, stop

pytestmark = pytest.mark.browser
FRANCE = "What is the capital of France?"


def titles(page: Page) -> Locator:
    return page.locator(".shelf .title")


def open_conversation(page: Page) -> str | None:
    """What the address says is open."""
    return parse_qs(urlsplit(page.url).query).get("c", [None])[0]


def addressed(page: Page) -> str:
    """Wait until the address names a conversation."""
    page.wait_for_function("new URL(location).searchParams.has('c')")
    return page.url


def save(page: Page, form: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator(f"[data-form={form}]").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def load(page: Page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open a saved chat").click()
    chooser.value.set_files(path)


def test_the_model_names_the_conversation_a_moment_after_its_first_answer(page: Page) -> None:
    send(page, "How do I reverse a list in Python?")
    first = finished(page, 1)
    expect(titles(page)).not_to_have_text("How do I reverse a list in Python?")
    expect(titles(page)).to_have_text(re.compile("Python|[Ll]ist"))
    send(page, "Thanks.")
    finished(page, 2)
    assert "recomputed" not in lines(page).last.inner_text()
    assert page.locator(".bot.message").first.inner_text() == first


def test_the_address_names_the_open_conversation_but_never_its_owner(page: Page, app: App) -> None:
    assert open_conversation(page) is None
    send(page, FRANCE)
    finished(page, 1)
    france = addressed(page)
    page.get_by_role("button", name="New chat").click()
    expect(page).to_have_url(app.url + "/")
    send(page, "Name a fruit.")
    finished(page, 1)
    fruit = addressed(page)
    assert fruit != france
    page.goto(france)
    expect(page.locator(".user.message")).to_have_text([FRANCE])
    page.reload()
    expect(page.locator(".user.message")).to_have_text([FRANCE])
    assert page.url == france
    query = parse_qs(urlsplit(fruit).query)
    assert set(query) == {"c"}
    page.locator(f'.shelf [data-id="{query["c"][0]}"] .open').click()
    expect(page).to_have_url(fruit)


def test_an_address_that_is_not_ones_own_opens_a_new_chat_with_a_sentence(
    page: Page, app: App, browser: Any
) -> None:
    send(page, FRANCE)
    finished(page, 1)
    address = addressed(page)
    context = browser.new_context(locale="en-US")
    stranger = context.new_page()
    for url in (address, f"{app.url}/?c={'x' * 32}", f"{app.url}/?c=..%2F..%2Fetc"):
        stranger.goto(url)
        expect(stranger.locator("#chat .notice")).to_contain_text("not among yours")
        expect(stranger.locator(".user.message, .shelf .title")).to_have_count(0)
    send(stranger, "Name a fruit.")
    expect(lines(stranger)).to_have_count(1)
    context.close()


def test_two_tabs_on_one_conversation_keep_it_whole(page: Page) -> None:
    send(page, FRANCE)
    finished(page, 1)
    address = addressed(page)
    other = page.context.new_page()
    other.goto(address)
    expect(other.locator(".user.message")).to_have_text([FRANCE])
    be_brief(other)
    begin(page)
    send(other, "Name a fruit.")
    expect(other.locator("#chat .notice")).to_contain_text("still being written")
    stop(page)
    finished(page, 2)
    other.evaluate("window.dispatchEvent(new Event('blur'))")
    other.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(other.locator(".user.message")).to_have_text([FRANCE, LONG])
    send(other, "Name a fruit.")
    expect(lines(other)).to_have_count(3)
    page.reload()
    expected = [FRANCE, LONG, "Name a fruit."]
    expect(page.locator(".user.message")).to_have_text(expected)
    other.close()


def test_a_name_that_is_being_typed_stays_while_the_list_changes(page: Page) -> None:
    """Another tab pins the conversation; so it is when the model has named it."""
    send(page, FRANCE)
    finished(page, 1)
    other = page.context.new_page()
    other.goto(addressed(page))
    name = page.locator(".shelf input")
    page.locator(".shelf .open").hover()
    page.get_by_label("Rename").click()
    name.fill("Capi")
    other.locator(".shelf .open").hover()
    other.locator("[data-act=pin]").click()
    expect(other.locator("[data-act=unpin]")).to_have_count(1)
    other.close()
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page.locator("[data-act=unpin]")).to_have_count(1)
    expect(name).to_be_focused()
    page.keyboard.type("tals")
    page.keyboard.press("Enter")
    expect(titles(page)).to_have_text(["Capitals"])
    expect(name).to_have_count(0)


def test_renaming_another_conversation_ends_the_first_one(page: Page) -> None:
    for count in (1, 2):
        send(page, FRANCE)
        finished(page, 1)
        expect(titles(page)).to_have_count(count)
        page.get_by_role("button", name="New chat").click()
        expect(lines(page)).to_have_count(0)
    for i, name in enumerate(("One", "Two")):
        page.locator(".shelf li").nth(i).hover()
        page.locator("[data-act=rename]").nth(i).click()
        expect(page.locator(".shelf input")).to_have_count(1)
        page.locator(".shelf input").fill(name)
    # While one click of the list is under way, Gradio takes no other.
    expect(page.locator(".shelf .title").first).to_have_text("One")
    page.keyboard.press("Enter")
    expect(page.locator(".shelf input")).to_have_count(0)
    expect(page.locator(".shelf .open")).to_have_text(["One", "Two"])
    expect(page.locator(".shelf .open").last).to_be_visible()


def test_the_list_is_used_by_keyboard(page: Page) -> None:
    send(page, FRANCE)
    finished(page, 1)
    page.locator(".shelf .open").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # pin
    expect(page.locator("[data-act=unpin]")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # rename
    page.keyboard.type("Capitals")
    page.keyboard.press("Enter")
    expect(titles(page)).to_have_text(["Capitals"])
    expect(page.locator(".shelf .open")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # delete
    expect(page.locator(".undo button")).to_be_focused()
    expect(titles(page)).to_have_count(0)
    page.keyboard.press("Enter")
    expect(titles(page)).to_have_text(["Capitals"])
    expect(page.locator(".user.message")).to_have_text([FRANCE])


def test_a_conversation_is_saved_and_opened_again(page: Page, tmp_path: Path) -> None:
    send(page, FRANCE)
    finished(page, 1)
    old = addressed(page)
    page.locator(".shelf .open").first.hover()
    page.get_by_label("Rename").click()
    page.locator(".shelf input").fill("Paris/France")
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
    expect(page.locator(".user.message")).to_have_text([FRANCE])
    send(page, "And of Italy?")
    expect(page.locator(".user.message")).to_have_count(2)
    expect(lines(page).last).to_have_text(re.compile(r"reused \d\d+ \(memory\)"))
    prefilled = re.search(r"prefilled (\d+)", lines(page).last.inner_text())
    assert prefilled is not None
    assert int(prefilled[1]) < 20
    load(page, files["markdown"])
    expect(titles(page)).to_have_count(3)


def test_a_file_that_is_no_conversation_gets_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("Only notes.", "utf-8")
    load(page, tmp_path / "notes.md")
    expect(page.get_by_test_id("toast-body")).to_contain_text("could not be opened")
    expect(titles(page)).to_have_count(0)


def test_an_empty_conversation_is_not_saved_but_told(page: Page) -> None:
    page.locator("[data-form=json]").click()
    expect(page.get_by_test_id("toast-body")).to_contain_text("nothing in this conversation")
    expect(page.locator(".toast-title")).to_have_css("display", "none")  # "Warning", in English
    header, toast = (
        page.locator("#header").bounding_box(),
        page.locator(".toast-wrap").bounding_box(),
    )
    assert header is not None
    assert toast is not None
    assert toast["y"] >= header["y"] + header["height"], "New chat is covered"
