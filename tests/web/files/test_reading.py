"""Files that would cost much are read in a process that ends, whatever is in them."""

import asyncio
import io
import zipfile
from pathlib import Path

import pytest

from tests.web.files.test_documents import pdf, word
from web.files import reading, unpacking
from web.files.documents import Document
from web.files.reading import Reading
from web.files.unpacking import Unreadable


def read(path: Path) -> str:
    async def once() -> str:
        return (await Reading().read(path, path.suffix)).text

    return asyncio.run(once())


def refusal(path: Path) -> Unreadable:
    with pytest.raises(Unreadable) as refused:
        read(path)
    return refused.value


def placed(folder: Path, name: str, raw: bytes) -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


def nested_docx() -> bytes:
    """A document of a few kilobytes whose tree takes a gigabyte."""
    raw = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(word())) as source, zipfile.ZipFile(raw, "w", 8) as archive:
        for name in source.namelist():
            if name != "word/document.xml":
                archive.writestr(name, source.read(name))
        main = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
        body = "<w:p/>" * 15_000_000
        archive.writestr(
            "word/document.xml",
            f'<w:document xmlns:w="{main}"><w:body>{body}</w:body></w:document>',
        )
    return raw.getvalue()


def test_documents_are_read_as_before(tmp_path: Path) -> None:
    assert "Page one." in read(placed(tmp_path, "a.pdf", pdf("Page one.")))
    assert "Page one." in read(placed(tmp_path, "a.data", pdf("Page one.")))
    assert "Bremen lies on the Weser." in read(placed(tmp_path, "a.docx", word()))
    assert read(placed(tmp_path, "a.txt", b"text")) == "text"


def test_a_reason_comes_back_with_its_values(tmp_path: Path) -> None:
    refused = refusal(placed(tmp_path, "a.pdf", pdf(*["x"] * (unpacking.MAX_PAGES + 1))))
    assert (refused.reason, refused.values) == ("file_too_many_pages", {"limit": "2,000"})


def test_a_file_that_takes_too_much_memory_costs_nobody_else(tmp_path: Path) -> None:
    raw = nested_docx()
    assert len(raw) < 2**20
    assert refusal(placed(tmp_path, "a.docx", raw)).reason == "file_costly"


def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = placed(tmp_path, "hangs.py", b"import time\ntime.sleep(3600)")
    monkeypatch.setattr(unpacking, "__file__", str(hangs))
    monkeypatch.setattr(reading, "_PATIENCE_S", 0.0)
    assert refusal(placed(tmp_path, "a.pdf", pdf("x"))).reason == "file_slow"


def test_only_so_many_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says that it has begun, and waits until the test has seen all that have."""
    path, running, go_on = placed(tmp_path, "a.pdf", pdf("x")), [], asyncio.Event()

    async def read_apart(_path: Path, _suffix: str) -> str:
        running.append(1)
        await go_on.wait()
        return "text"

    async def scenario() -> None:
        files = Reading()
        tasks = [asyncio.create_task(files.read(path, ".pdf")) for _ in range(2 * reading.AT_ONCE)]
        while len(running) < reading.AT_ONCE:
            await asyncio.sleep(0)
        await asyncio.to_thread(lambda: None)
        assert len(running) == reading.AT_ONCE
        go_on.set()
        assert await asyncio.gather(*tasks) == [Document("text")] * len(tasks)

    monkeypatch.setattr(reading, "_read_apart", read_apart)
    asyncio.run(scenario())
