"""PDF and .docx to their text, with the limits that keep one visitor's file from taking the server's memory.

Owns: which library takes a file apart, and for how long. As a program of its own (web.files.reading starts it)
it writes what `unpack` returns or raises as JSON; so it imports nothing of the project. Does not know names.
"""

import contextlib
import io
import json
import os
import re
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
import pypdfium2 as pdfium
from docx.oxml.ns import qn
from docx.table import Table
from docx.text.paragraph import Paragraph
from lxml.etree import ErrorTypes, XMLSyntaxError
from pypdfium2 import raw as pdfium_c

MAX_BYTES = 20 * 2**20
MAX_CHARACTERS = 1_000_000
_MAX_UNPACKED_BYTES = 100 * 2**20
MAX_PAGES = 2000
READ_S = 20.0  # of the processor
_MAX_MEMORY_BYTES = 2**30

_PDF, _DOCX = ".pdf", ".docx"
_PDF_MARK = b"%PDF-"
_OLD_OFFICE_MARK = b"\xd0\xcf\x11\xe0"  # Office wraps an encrypted .docx into an old format
_LINE_HYPHEN = re.compile("[\x02\ufffe]")  # what PDFium makes of a hyphen that ends a line
_SAMPLED_CHARACTERS = 1000  # of a page, to be asked whether its font says what they are
_WORST_SHARE = 0.1  # of characters that no font explains


class Unreadable(Exception):
    """Why a file has no text. reason: a key of web.languages.texts; values: what its sentence names."""

    def __init__(self, reason: str, **values: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.values = values


def bytes_of(path: Path) -> bytes:
    """What is in a file. Raises Unreadable."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Unreadable("file_too_large")
        raw = path.read_bytes()
    except OSError:
        raise Unreadable("file_lost") from None
    if not raw.strip():
        raise Unreadable("file_empty")
    return raw


def is_unpacked(suffix: str, beginning: bytes) -> bool:
    """Whether a library takes such a file apart, which may cost much. suffix: in small letters."""
    return suffix in {_PDF, _DOCX} or beginning.startswith(_PDF_MARK)


def unpack(raw: bytes, suffix: str) -> str:
    """The text of such a file, as the library gives it. Raises Unreadable."""
    if suffix == _PDF or raw.startswith(_PDF_MARK):
        return _whole(_pdf_pages(raw), "file_scan")
    return _whole(_docx_blocks(raw), "file_no_text")


def _whole(pieces: Iterator[str], reason_if_empty: str) -> str:
    """The pieces in one; a library that stumbles over the file found it damaged."""
    try:
        found = list(_within_limits(pieces))
    except Unreadable:
        raise
    except MemoryError:
        raise Unreadable("file_costly") from None
    except Exception as error:  # noqa: BLE001  (these libraries promise no exceptions of their own)
        raise Unreadable(_reason(error)) from None
    if not any(piece.strip() for piece in found):
        raise Unreadable(reason_if_empty)
    return "\n".join(found)


def _reason(error: Exception) -> str:
    if isinstance(error, XMLSyntaxError) and error.code == ErrorTypes.ERR_NO_MEMORY:
        return "file_costly"
    code = getattr(error, "err_code", None) if isinstance(error, pdfium.PdfiumError) else None
    is_locked = code in {pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY}
    return "file_encrypted" if is_locked else "file_damaged"


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
    """PDFium brings the tables of CJK fonts, and AES; what a font does not explain it makes up, and tells."""
    document = pdfium.PdfDocument(raw)
    if len(document) > MAX_PAGES:
        raise Unreadable("file_too_many_pages", limit=f"{MAX_PAGES:,}")
    num_made_up = num_asked = 0
    for page in document:
        text = page.get_textpage()
        asked = range(min(text.count_chars(), _SAMPLED_CHARACTERS))
        num_made_up += sum(pdfium_c.FPDFText_HasUnicodeMapError(text, i) == 1 for i in asked)
        num_asked += len(asked)
        yield _LINE_HYPHEN.sub("-", text.get_text_range()) + "\n"
        text.close()
        page.close()
    if num_made_up > _WORST_SHARE * num_asked:
        raise Unreadable("file_garbled")


def _docx_blocks(raw: bytes) -> Iterator[str]:
    if raw.startswith(_OLD_OFFICE_MARK):
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


def _limit_costs() -> None:
    """Of this process: its memory and time, where the system can; and others come first."""
    with contextlib.suppress(AttributeError):  # not on Windows
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
        found: dict[str, Any] = {"text": unpack(bytes_of(Path(path)), suffix)}
    except Unreadable as refused:
        found = {"reason": refused.reason, "values": refused.values}
    except MemoryError:
        found = {"reason": "file_costly", "values": {}}
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
