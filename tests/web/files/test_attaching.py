"""Files that wait on a page: read, deleted, refused in a sentence, taken along."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import SessionId
from tests.scripted import Engines, ScriptedEngine
from tests.web.turns.test_history import page
from web import view
from web.files.attaching import MAX_FILES, Attaching, Upload, uploads_in
from web.files.attachments import Attachment, Said, read_message, read_page
from web.startup import Startup
from web.turns.live_turn import Request
from web.turns.turns import Turns

ID = SessionId("owner", "conversation")


@pytest.fixture
def engine(engines: Engines) -> ScriptedEngine:
    """With a small context, in which a token is a byte."""
    return engines(context_length=4000)


@pytest.fixture
def startup(engine: ScriptedEngine, started: Callable[[ScriptedEngine], Startup]) -> Startup:
    return started(engine)


@pytest.fixture
def attaching(startup: Startup, tmp_path: Path) -> Attaching:
    (tmp_path / "uploads").mkdir()
    return Attaching(startup, tmp_path / "uploads")


def upload(tmp_path: Path, name: str, raw: bytes) -> Upload:
    folder = tmp_path / "uploads" / f"{abs(hash((name, raw)))}"
    folder.mkdir(exist_ok=True)
    (folder / "blob").write_bytes(raw)
    return Upload(folder / "blob", name)


def add(attaching: Attaching, *uploads: Upload, large: tuple[str, ...] = ()) -> str:
    """What the page shows after these were attached."""
    asyncio.run(attaching.add("tab", uploads, large, "en"))
    return attaching.render("tab", "en")


def test_a_file_that_is_read_too_late_waits_for_the_next_message(
    attaching: Attaching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go() -> None:
        is_read, read = asyncio.Event(), attaching._read

        async def late(file: Upload) -> Attachment:
            await is_read.wait()
            return await read(file)

        monkeypatch.setattr(attaching, "_read", late)
        adding = asyncio.create_task(
            attaching.add("tab", [upload(tmp_path, "a.txt", b"Text.")], [], "en")
        )
        await asyncio.sleep(0)
        assert attaching.take("tab", "What?") == Said("What?")
        assert 'data-added="0"' in attaching.render("tab", "en")
        is_read.set()
        await adding

    asyncio.run(go())
    assert 'data-added="1"' in attaching.render("tab", "en")
    assert [a.name for a in attaching.take("tab", "And?").attachments] == ["a.txt"]


def test_a_file_waits_and_goes_with_the_next_message_only(
    attaching: Attaching, tmp_path: Path
) -> None:
    shown = add(attaching, upload(tmp_path, "<b>.txt", b"Text."))
    assert "<li><span>b .txt</span><small>5 B</small>" in shown
    assert attaching.said("other tab", "What?") == Said("What?")
    said = attaching.take("tab", "What?")
    assert [(a.name, a.text) for a in said.attachments] == [("b .txt", "Text.")]
    assert attaching.take("tab", "And?") == Said("And?")


def test_uploads_are_deleted_whether_they_could_be_read_or_not(
    attaching: Attaching, tmp_path: Path
) -> None:
    add(attaching, upload(tmp_path, "a.txt", b"Text."), upload(tmp_path, "b.png", b"\x89PNG"))
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_refused_file_gets_a_sentence_and_the_others_stay(
    attaching: Attaching, tmp_path: Path
) -> None:
    shown = add(
        attaching, upload(tmp_path, "<i>.png", b"\x89PNG"), upload(tmp_path, "a.txt", b"Text."), large=("big.txt",)
    )  # fmt: skip
    assert "<p>i .png: .png files cannot be read; attach text, PDF or .docx.</p>" in shown
    assert "<p>big.txt is larger than 20 MB; attach a part of it.</p>" in shown
    assert shown.count("<li>") == 1
    assert "<p>" not in add(attaching, upload(tmp_path, "b.txt", b"Text."))


def test_nothing_outside_the_upload_folder_is_read_or_deleted(
    attaching: Attaching, tmp_path: Path
) -> None:
    private = tmp_path / "private.txt"
    private.write_text("secret")
    (tmp_path / "uploads" / "link").symlink_to(private)
    for path in (
        private,
        tmp_path / "uploads" / ".." / "private.txt",
        tmp_path / "uploads" / "link",
    ):
        assert "did not arrive" in add(attaching, Upload(path, "a.txt"))
    assert private.read_text() == "secret"


def test_a_file_too_long_for_the_context_is_refused_with_the_numbers(
    attaching: Attaching, tmp_path: Path
) -> None:
    shown = add(attaching, upload(tmp_path, "long.txt", b"word " * 1000))
    assert "long.txt has 5,0" in shown
    assert "context of 4,000 tokens, files may take 3,000" in shown
    half = b"word " * 400
    assert "<p>" not in add(attaching, upload(tmp_path, "one.txt", half))
    shown = add(attaching, upload(tmp_path, "two.txt", half))
    assert "With two.txt the files have 4,1" in shown
    assert shown.count("<li>") == 1


def test_the_tokens_of_a_very_long_text_are_estimated(attaching: Attaching, tmp_path: Path) -> None:
    shown = add(attaching, upload(tmp_path, "long.txt", b"word " * 100_000))
    assert "long.txt has 500,0" in shown


def test_so_many_files_go_with_one_message(attaching: Attaching, tmp_path: Path) -> None:
    shown = add(attaching, *(upload(tmp_path, f"{i}.txt", b"x") for i in range(MAX_FILES + 1)))
    assert shown.count("<li>") == MAX_FILES
    assert f"at most {MAX_FILES} files" in shown


def test_a_file_can_be_taken_away_again(attaching: Attaching, tmp_path: Path) -> None:
    add(attaching, upload(tmp_path, "a.txt", b"A"), upload(tmp_path, "b.txt", b"B"))
    attaching.remove("tab", 0)
    attaching.remove("tab", 7)
    assert [a.name for a in attaching.said("tab", "").attachments] == ["b.txt"]


def test_a_file_of_unsure_charset_is_read_anew_in_the_one_that_is_chosen(
    attaching: Attaching, tmp_path: Path
) -> None:
    assert "<select" not in add(attaching, upload(tmp_path, "sure.txt", "Grüße".encode()))
    raw = "PostgreSQL 擴".encode("big5")
    shown = add(attaching, upload(tmp_path, "a.txt", raw))
    assert 'data-index="1"' in shown.split("<select")[1]
    for charset, text in (("koi8_r", "PostgreSQL бX"), ("nonsense", "PostgreSQL бX"),
                          ("cp950", "PostgreSQL 擴")):  # fmt: skip
        asyncio.run(attaching.choose("tab", 1, charset, "en"))
        assert attaching.said("tab", "").attachments[1].text == text
    asyncio.run(attaching.choose("tab", 0, "cp950", "en"))
    asyncio.run(attaching.choose("tab", 7, "cp950", "en"))
    assert '<option value="cp950" selected>' in attaching.render("tab", "en")
    assert attaching.take("tab", "What?").message.endswith("PostgreSQL 擴\n</file>\n\nWhat?")


def test_a_program_sends_text_or_text_with_files(attaching: Attaching, tmp_path: Path) -> None:
    async def scenario() -> None:
        assert await attaching.message_of("Hello", "en") == "Hello"
        note = upload(tmp_path, "note.txt", b"Violet.")
        sent = {"text": "Which?", "files": [{"path": str(note.path), "orig_name": "note.txt"}]}
        said = read_message(await attaching.message_of(sent, "en"))
        assert (said.typed, said.attachments[0].name, said.attachments[0].text) == (
            "Which?", "note.txt", "Violet."
        )  # fmt: skip
        with pytest.raises(ValueError, match=r"passwd did not arrive"):
            await attaching.message_of({"text": "", "files": ["/etc/passwd"]}, "en")

    asyncio.run(scenario())


def test_nonsense_from_the_browser_is_left_out() -> None:
    assert uploads_in([{"path": 3}, None, {}, {"path": "a\0b"}, {"path": ""}]) == []
    assert uploads_in("a.txt") == []
    assert uploads_in([{"path": "/x/a.txt"}, "/x/b.txt"]) == [
        Upload(Path("/x/a.txt"), "a.txt"), Upload(Path("/x/b.txt"), "b.txt")
    ]  # fmt: skip


def test_retry_edit_and_undo_keep_the_files(
    engine: ScriptedEngine, startup: Startup, attaching: Attaching, tmp_path: Path
) -> None:
    """As the page does it: what it shows is what comes back as its history."""

    async def scenario() -> None:
        turns = Turns(startup)
        await attaching.add("tab", [upload(tmp_path, "a.txt", b"Text.\n\n$x$")], [], "en")
        said = attaching.take("tab", "What?")

        async def run(message: str, *before: str) -> list[str]:
            async for _ in turns.run("tab", Request(ID, message, page(*before))):
                pass
            return [m.content for m in engine.messages(ID) if m.role == "user"]

        assert await run(said.message) == [said.message]
        shown = view.conversation(await turns.restore(ID), "en")
        content = shown[0]["content"][0]["text"]
        assert content == said.shown()
        assert await run(read_page(content).message) == [said.message]  # retry
        edited = Said("Why?", read_page(content).attachments)
        assert await run(edited.message) == [edited.message]
        assert await run("And?", edited.shown()) == [edited.message, "And?"]
        await turns.undo("tab", ID, page(edited.shown()))
        assert [m.content for m in engine.messages(ID) if m.role == "user"] == [edited.message]

    asyncio.run(asyncio.wait_for(scenario(), 60))
