"""The list of conversations by days, as its reader counts them."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from engine.conversations import ConversationRow
from web.view.days import day_of, reader_now
from web.view.shelf import Marks, conversation_list

NIGHT = datetime(2026, 3, 4, 23, 30, tzinfo=UTC)
BERLIN, HONOLULU = timezone(timedelta(hours=1)), timezone(timedelta(hours=-10))


def row(name: str, changed: datetime, *, pinned: bool = False) -> ConversationRow:
    return ConversationRow(name, name.title(), pinned, 0.0, changed.timestamp(), 2)


@pytest.mark.parametrize(
    ("days", "section"),
    [
        (0, "today"),
        (1, "yesterday"),
        (2, "last_week"),
        (7, "last_week"),
        (8, "long_ago"),
        (-1, "today"),
    ],
)
def test_conversations_are_sorted_by_whole_days(days: int, section: str) -> None:
    for hour in (0, 12, 23):
        changed = NIGHT.replace(hour=hour) - timedelta(days=days)
        assert day_of(changed.timestamp(), NIGHT) == section


def test_a_day_is_the_readers_own() -> None:
    """Half an hour before midnight of UTC it is another day already in Berlin, and not in Honolulu."""
    noon = NIGHT.replace(hour=12).timestamp()
    assert day_of(noon, NIGHT.astimezone(BERLIN)) == "yesterday"
    assert day_of(noon, NIGHT.astimezone(HONOLULU)) == "today"


@pytest.mark.parametrize(
    ("cookie", "hours"),
    [
        ("warmchat_utc_offset=60", 1),
        ("warmchat_utc_offset=-600", -10),
        ("a=b; warmchat_utc_offset=0", 0),
    ],
)
def test_the_browser_tells_the_time_of_day(cookie: str, hours: int) -> None:
    now = reader_now({"cookie": cookie}, lambda: NIGHT)
    assert now.utcoffset() == timedelta(hours=hours)
    assert now == NIGHT


@pytest.mark.parametrize(
    "cookie",
    ["", "warmchat_utc_offset=noon", "warmchat_utc_offset=99999", "warmchat_utc_offset=1e9"],
)
def test_without_that_it_is_the_servers_time(cookie: str) -> None:
    now = reader_now({"cookie": cookie}, lambda: NIGHT)
    assert now.utcoffset() == NIGHT.astimezone().utcoffset()


def test_pinned_ones_come_first_under_a_heading_of_their_own() -> None:
    rows = [
        row("old", NIGHT - timedelta(days=90), pinned=True), row("new", NIGHT),
        row("other", NIGHT), row("older", NIGHT - timedelta(days=1)),
    ]  # fmt: skip
    shown = conversation_list(rows, Marks("new"), NIGHT, "en")
    parts = re.findall(r">([A-Z][a-z]+)</(h2|span)>", shown)
    assert parts == [
        ("Pinned", "h2"), ("Old", "span"), ("Today", "h2"), ("New", "span"), ("Other", "span"),
        ("Yesterday", "h2"), ("Older", "span"),
    ]  # fmt: skip
    assert '<li data-id="old" data-pinned>' in shown
    assert '<li data-id="new" aria-current="true">' in shown


def test_dots_say_what_they_mean_in_the_language_of_the_page() -> None:
    marks = Marks("", answering=frozenset({"one"}), unseen=frozenset({"one", "two"}))
    shown = conversation_list(
        [row("one", NIGHT), row("two", NIGHT), row("three", NIGHT)], marks, NIGHT, "zh-CN"
    )
    assert re.findall(r'class="dot (\w+)" role="img" title="(.+?)"', shown) == [
        ("answering", "正在回答"), ("unseen", "有新回答"),
    ]  # fmt: skip
