"""Files of each kind, made here, to text or to the reason why there is none."""

import io
import zipfile
from pathlib import Path

import docx
import pytest
from pypdf import PdfReader, PdfWriter

from web.files import unpacking
from web.files.documents import read
from web.files.unpacking import Unreadable

CHINESE = "OpenVINO 是英特尔的推理工具包。\n它可以在 CPU 上运行大语言模型。\n"


def cjk_pdf(cmap: str, ordering: str, drawn: bytes) -> bytes:
    """A page of codes in a font that is not in the file; `cmap` says what they mean."""
    kind = "/Type /Font /BaseFont /Song /Subtype"
    info = f"<< /Registry (Adobe) /Ordering ({ordering}) /Supplement 2 >>"
    fonts = [f"<< {kind} /Type0 /Encoding /{cmap} /DescendantFonts [6 0 R] >>",
             f"<< {kind} /CIDFontType0 /CIDSystemInfo {info} >>"]  # fmt: skip
    return assembled([f"BT /F1 12 Tf 72 720 Td <{drawn.hex()}> Tj ET"], fonts)


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page, each object written out."""
    drawn = [f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else "" for text in pages]
    return assembled(drawn, ["<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"])


def assembled(pages: list[str], fonts: list[str]) -> bytes:
    """A PDF of what is drawn on each page, in the first of the fonts."""
    kids = " ".join(f"{3 + 2 * i} 0 R" for i in range(len(pages)))
    font = 3 + 2 * len(pages)
    bodies = ["<< /Type /Catalog /Pages 2 0 R >>",
              f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>"]  # fmt: skip
    for i, drawn in enumerate(pages):
        bodies.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {4 + 2 * i} 0 R "
            f"/Resources << /Font << /F1 {font} 0 R >> >> >>"
        )
        bodies.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    bodies += fonts
    raw, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(raw))
        raw += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(bodies) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return raw + f"{end}startxref\n{len(raw)}\n%%EOF\n".encode()


def encrypted_pdf(password: str) -> bytes:
    writer, raw = PdfWriter(), io.BytesIO()
    writer.append(PdfReader(io.BytesIO(pdf("secret"))))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    writer.write(raw)
    return raw.getvalue()


def word() -> bytes:
    document, raw = docx.Document(), io.BytesIO()
    document.add_heading("Harbours", 1)
    document.add_paragraph("Bremen lies on the Weser.")
    document.add_paragraph("a quay", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip((c for row in table.rows for c in row.cells), "ABCD", strict=True):
        cell.text = text
    table.rows[1].cells[0].merge(table.rows[1].cells[1])
    document.add_paragraph("The end.")
    document.save(raw)
    return raw.getvalue()


def bomb() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * (101 * 2**20))
    return raw.getvalue()


def read_as(folder: Path, name: str, raw: bytes) -> str:
    path = folder / "upload"
    path.write_bytes(raw)
    return read(path, Path(name).suffix).text


def reason_for(folder: Path, name: str, raw: bytes) -> str:
    with pytest.raises(Unreadable) as refused:
        read_as(folder, name, raw)
    return refused.value.reason


def test_the_pages_of_a_pdf_come_in_order(tmp_path: Path) -> None:
    assert read_as(tmp_path, "a.pdf", pdf("Page one.", "Page two.")).split("\n") == [
        "Page one.", "", "Page two."
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cmap", "ordering", "charset", "text"),
    [
        ("GBKp-EUC-H", "GB1", "gbk", "配置文件说明，数据库"),
        ("UniGB-UTF16-H", "GB1", "utf-16-be", "配置文件说明，数据库"),
        ("B5pc-H", "CNS1", "big5", "設定檔說明，資料庫"),
        ("EUC-H", "Japan1", "euc_jp", "設定ファイルの説明"),
        ("90pv-RKSJ-H", "Japan1", "shift_jis", "設定ファイルの説明"),
        ("KSCms-UHC-H", "Korea1", "cp949", "설정 파일 설명"),
        ("KSC-EUC-H", "Korea1", "euc_kr", "설정 파일 설명"),
    ],
)
def test_the_tables_of_cjk_fonts_are_known(
    tmp_path: Path, cmap: str, ordering: str, charset: str, text: str
) -> None:
    assert read_as(tmp_path, "a.pdf", cjk_pdf(cmap, ordering, text.encode(charset))) == text


def test_a_pdf_whose_fonts_do_not_say_what_they_draw_is_refused(tmp_path: Path) -> None:
    drawn = bytes.fromhex("03e8100a0e351f402b1d")
    assert reason_for(tmp_path, "a.pdf", cjk_pdf("Identity-H", "Identity", drawn)) == "file_garbled"
    unknown = cjk_pdf("UniGB-UTF8-H", "GB1", "配置文件说明".encode())
    assert reason_for(tmp_path, "a.pdf", unknown) == "file_garbled"


def test_a_pdf_in_aes_without_a_password_is_read(tmp_path: Path) -> None:
    raw = Path(__file__).with_name("aes-256.pdf").read_bytes()
    assert b"/AESV3" in raw
    assert read_as(tmp_path, "a.pdf", raw) == "secret"


def test_a_pdf_is_known_by_its_first_bytes_too(tmp_path: Path) -> None:
    assert read_as(tmp_path, "download", pdf("Page one.")) == "Page one."


def test_a_pdf_that_only_forbids_printing_is_read(tmp_path: Path) -> None:
    assert read_as(tmp_path, "a.pdf", encrypted_pdf("")) == "secret"


def test_paragraphs_and_tables_of_a_docx_come_in_order(tmp_path: Path) -> None:
    assert read_as(tmp_path, "a.DOCX", word()).split("\n") == [
        "Harbours", "Bremen lies on the Weser.", "- a quay", "A | B", "C D", "The end."
    ]  # fmt: skip


def test_source_code_keeps_its_indentation_and_plain_line_ends(tmp_path: Path) -> None:
    raw = b"def f():\r\n\tif True:  \r\n        return 1\r\n"
    assert read_as(tmp_path, "a.py", raw) == "def f():\n\tif True:\n        return 1"


def test_nothing_unprintable_gets_through(tmp_path: Path) -> None:
    text = "a" * 1000 + "\x1b[0m\ufdd1\ufeff\u0085 end"
    assert read_as(tmp_path, "a.log", text.encode()) == "a" * 1000 + "[0m end"


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("a.txt", b" \n ", "file_empty"),
        ("a.pdf", encrypted_pdf("password"), "file_encrypted"),
        ("a.docx", b"\xd0\xcf\x11\xe0" + bytes(600), "file_encrypted"),
        ("a.pdf", pdf("", ""), "file_scan"),
        ("a.docx", b"PK\x03\x04 and no more", "file_damaged"),
        ("a.pdf", b"not a PDF at all", "file_damaged"),
        ("a.pdf", pdf("Page one.")[:150], "file_damaged"),
        ("a.docx", bomb(), "file_too_large"),
        ("photo.PNG", b"\x89PNG\r\n\x1a\n" + bytes(100), "file_wrong_kind"),
        ("old.doc", b"\xd0\xcf\x11\xe0" + bytes(600), "file_wrong_kind"),
        ("program", bytes(range(256)) * 20, "file_binary"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_reason(
    tmp_path: Path, name: str, raw: bytes, reason: str
) -> None:
    assert reason_for(tmp_path, name, raw) == reason


def test_a_docx_without_a_word_is_refused(tmp_path: Path) -> None:
    raw = io.BytesIO()
    docx.Document().save(raw)
    assert reason_for(tmp_path, "a.docx", raw.getvalue()) == "file_no_text"


def test_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason_for(tmp_path, "a.txt", b"a" * (unpacking.MAX_BYTES + 1)) == "file_too_large"
    assert reason_for(tmp_path, "a.txt", b"a" * 1_000_001) == "file_too_much_text"
    monkeypatch.setattr(unpacking, "MAX_CHARACTERS", 12)
    assert reason_for(tmp_path, "a.pdf", pdf("Page one.", "Page two.")) == "file_too_much_text"
    monkeypatch.setattr(unpacking, "READ_S", -1.0)
    assert reason_for(tmp_path, "a.pdf", pdf("One.")) == "file_slow"


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable) as refused:
        read(tmp_path / "nowhere", ".txt")
    assert refused.value.reason == "file_lost"
