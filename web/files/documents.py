"""A file on disk to its text, or the reason why there is none.

Owns: which kinds of files are read, with which library, and the limits that keep one visitor's file
from taking the server's memory or minutes. Does not know where a file came from, nor the page. As a
program of its own (web.files.reading starts it) it writes what `read` returns or raises as JSON.
"""

import contextlib
import io
import json
import logging
import os
import re
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
from charset_normalizer import from_bytes
from docx.oxml.ns import qn
from docx.table import Table
from docx.text.paragraph import Paragraph
from lxml.etree import ErrorTypes, XMLSyntaxError
from pypdf import PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError

MAX_BYTES = 20 * 2**20
MAX_CHARACTERS = 1_000_000
_MAX_UNPACKED_BYTES = 100 * 2**20
MAX_PAGES = 2000
READ_S = 20.0  # of the processor
_MAX_MEMORY_BYTES = 2**30

_OTHER_KINDS = re.compile(
    r"\.(doc|dot|xlsx?|xlsm|pptx?|od[tsp]|rtf|epub|pages|numbers|key|msg|png|jpe?g|gif|webp|bmp|tiff?|heic"
    r"|ico|mp[34]|wav|flac|ogg|m4a|mkv|mov|avi|webm|zip|gz|xz|bz2|7z|rar|tar|tgz|whl|jar|exe|dll|so|iso"
    r"|dmg|[ot]tf|woff2?|sqlite|db|parquet|np[yz]|safetensors|gguf|onnx)"
)
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
# What people's files are written in; of more, charset detection is too often wrong on short texts.
_CHARSETS = ["gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1252", "cp1251", "koi8_r"]
_SAMPLE_BYTES = 64 * 2**10
_UNPRINTABLE = re.compile(
    "[\0-\x08\x0b\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufeff\ufffe\uffff\ud800-\udfff]"
)
_WORST_SHARE = 0.01  # of characters that no text holds

logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns about every oddity of every file


class Unreadable(Exception):
    """Why a file has no text. reason: a key of web.languages.texts; values: what its sentence names."""

    def __init__(self, reason: str, **values: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.values = values


def is_unpacked(path: Path, suffix: str) -> bool:
    """Whether a library takes such a file apart, which may cost much. Raises OSError."""
    with path.open("rb") as file:
        return suffix.lower() in {".pdf", ".docx"} or file.read(5) == b"%PDF-"


def read(path: Path, suffix: str) -> str:
    """The file's text, with plain line ends and nothing unprintable. Raises Unreadable.

    suffix: of the name that the file had where it came from, as ".pdf".
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Unreadable("file_too_large")
        raw = path.read_bytes()
    except OSError:
        raise Unreadable("file_lost") from None
    text = _cleaned(_text(raw, suffix.lower()))
    if len(text) > MAX_CHARACTERS:
        raise Unreadable("file_too_much_text", limit=f"{MAX_CHARACTERS:,}")
    return text


def _text(raw: bytes, suffix: str) -> str:
    if not raw.strip():
        raise Unreadable("file_empty")
    if suffix == ".pdf" or raw.startswith(b"%PDF-"):
        return _whole(_pdf_pages(raw), "file_scan")
    if suffix == ".docx":
        return _whole(_docx_blocks(raw), "file_no_text")
    if _OTHER_KINDS.fullmatch(suffix):
        raise Unreadable("file_wrong_kind", suffix=suffix)
    return decode(raw)


def _whole(pieces: Iterator[str], reason_if_empty: str) -> str:
    """The pieces in one; a library that stumbles over the file found it damaged."""
    try:
        found = list(_within_limits(pieces))
    except Unreadable:
        raise
    except (MemoryError, LimitReachedError):
        raise Unreadable("file_costly") from None
    except (DependencyError, FileNotDecryptedError):
        raise Unreadable("file_encrypted") from None
    except Exception as error:  # noqa: BLE001  (these libraries promise no exceptions of their own)
        is_full = isinstance(error, XMLSyntaxError) and error.code == ErrorTypes.ERR_NO_MEMORY
        raise Unreadable("file_costly" if is_full else "file_damaged") from None
    if not any(piece.strip() for piece in found):
        raise Unreadable(reason_if_empty)
    return "\n".join(found)


def _within_limits(pieces: Iterator[str]) -> Iterator[str]:
    deadline, length = time.process_time() + READ_S, 0
    for piece in pieces:
        length += len(piece)
        if length > MAX_CHARACTERS:
            raise Unreadable("file_too_much_text", limit=f"{MAX_CHARACTERS:,}")
        if time.process_time() > deadline:
            raise Unreadable("file_slow")
        yield piece


def _pdf_pages(raw: bytes) -> Iterator[str]:
    for number, page in enumerate(PdfReader(io.BytesIO(raw)).pages):
        if number == MAX_PAGES:
            raise Unreadable("file_too_many_pages", limit=f"{MAX_PAGES:,}")
        yield page.extract_text() + "\n"


def _docx_blocks(raw: bytes) -> Iterator[str]:
    if raw.startswith(b"\xd0\xcf\x11\xe0"):  # Office wraps an encrypted .docx into an old format
        raise Unreadable("file_encrypted")
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MAX_UNPACKED_BYTES:
            raise Unreadable("file_too_large")
    for block in docx.Document(io.BytesIO(raw)).iter_inner_content():
        yield from _rows(block) if isinstance(block, Table) else [_paragraph(block)]


def _paragraph(paragraph: Paragraph) -> str:
    """Its text; numbers and bullets, which Word computes, become a dash."""
    properties = paragraph._p.pPr
    is_item = properties is not None and properties.find(qn("w:numPr")) is not None
    style = paragraph.style.name if paragraph.style is not None else ""
    return "- " * (is_item or str(style).startswith("List ")) + paragraph.text


def _rows(table: Table) -> Iterator[str]:
    for row in table.rows:
        cells = list(dict.fromkeys(row.cells))  # a merged cell comes once for each of its columns
        yield " | ".join(" ".join(cell.text.split()) for cell in cells)


def decode(raw: bytes) -> str:
    """Bytes of a text file to text, whatever it is encoded in. Raises Unreadable."""
    for text in _candidates(raw):
        if len(_UNPRINTABLE.findall(text)) <= _WORST_SHARE * len(text):
            return text
    raise Unreadable("file_binary")


def _candidates(raw: bytes) -> Iterator[str]:
    """Readings of `raw`, the most certain first."""
    for bom, charset in _BOMS:
        if raw.startswith(bom):
            yield raw[len(bom) :].decode(charset, "replace")
            return
    try:
        yield raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return
    if 0 in raw:
        yield from _unmarked_utf16(raw)
    elif (best := from_bytes(raw[:_SAMPLE_BYTES], cp_isolation=_CHARSETS).best()) is not None:
        yield raw.decode(best.encoding, "replace")


def _unmarked_utf16(raw: bytes) -> Iterator[str]:
    """UTF-16 without a mark, where zeros are the upper halves of ASCII characters."""
    is_little = raw[1::2].count(0) > raw[::2].count(0)
    text = raw.decode("utf-16-le" if is_little else "utf-16-be", "replace")
    if text.count("\ufffd") <= _WORST_SHARE * len(text):
        yield text


def _cleaned(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    text = _UNPRINTABLE.sub("", text)
    lines = (line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).strip("\n")


def _limit_costs() -> None:
    """Of this process: its memory and time, where the system can; and others come first."""
    os.nice(10)
    with contextlib.suppress(ImportError):
        import resource  # noqa: PLC0415  (not on Windows)

        seconds = int(READ_S) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def main(path: str, suffix: str) -> int:
    """Write the text of a file, or the reason why there is none, to standard output."""
    _limit_costs()
    try:
        found: dict[str, Any] = {"text": read(Path(path), suffix)}
    except Unreadable as refused:
        found = {"reason": refused.reason, "values": refused.values}
    except MemoryError:
        found = {"reason": "file_costly", "values": {}}
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
