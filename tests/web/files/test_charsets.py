"""Bytes of text files to text, whatever charset they are in."""

import pytest

from web.files.charsets import read_as, read_text

CHINESE = "OpenVINO 是英特尔的推理工具包。\n它可以在 CPU 上运行大语言模型。\n"
TRADITIONAL = "這是一個繁體中文的測試檔案，內容不多。"
JAPANESE = "これはテストです。日本語の文章。"
KOREAN = "설정 파일에는 포트 번호가 있습니다."


@pytest.mark.parametrize(
    "charset",
    ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32"],
)
def test_chinese_is_read_in_every_usual_charset(charset: str) -> None:
    reading = read_text(CHINESE.encode(charset))
    assert (reading.text, reading.choices) == (CHINESE, ())


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("gbk", "# 配置文件\nport = 7860"),
        ("gbk", "設定檔與資料庫"),
        ("big5", TRADITIONAL),
        ("big5hkscs", "呢啲係香港嘅文字，佢哋喺度。"),
        ("shift_jis", JAPANESE),
        ("euc_jp", JAPANESE),
        ("iso2022_jp", JAPANESE),
        ("euc_kr", KOREAN),
        ("cp1252", "Café déjà vu, naïve façade"),
        ("cp1252", "café"),
        ("cp1250", "Zażółć gęślą jaźń"),
        ("cp1251", "Русский язык — один из восточнославянских"),
        ("koi8_r", "Русский язык и его история"),
        ("cp1253", "Η ελληνική γλώσσα είναι μία από τις γλώσσες"),
        ("cp1254", "Türkçe dilinde yazılmış şöyle bir yazı"),
        ("cp1255", "השפה העברית היא שפה שמית"),
        ("cp1256", "اللغة العربية هي أكثر اللغات تحدثا"),
        ("cp874", "ภาษาไทยเป็นภาษาที่มีระดับเสียงของคำแน่นอน"),
    ],
)
def test_other_charsets_are_found(charset: str, text: str) -> None:
    assert read_text(text.encode(charset)).text == text


@pytest.mark.parametrize(
    ("charset", "text"),
    [("utf-8", CHINESE), ("gb18030", CHINESE), ("cp950", TRADITIONAL), ("cp932", JAPANESE),
     ("euc_jp", JAPANESE), ("cp949", KOREAN), ("utf-16-le", CHINESE)],
)  # fmt: skip
def test_a_bad_byte_spoils_its_neighbours_alone(charset: str, text: str) -> None:
    raw = text.encode(charset)
    for at in (len(raw) // 2, len(raw) // 2 + 1, len(raw) - 1):
        reading = read_text(raw[:at] + b"\xff" + raw[at + 1 :])
        assert reading.charset == charset
        assert reading.text[: len(text) // 2 - 1] == text[: len(text) // 2 - 1]
    assert read_text(raw[:-1]).charset == charset


@pytest.mark.parametrize("charset", ["gb18030", "euc_kr"])
def test_long_files_are_known_by_their_lines_beside_ascii(charset: str) -> None:
    comment = {"gb18030": "# 读取配置文件，检查端口", "euc_kr": "# 설정 파일을 읽습니다"}[charset]
    text = "value = 1\n" * 200_000 + comment
    assert read_text(text.encode(charset)).text == text
    long = comment * 20_000  # the sample ends within a character
    assert read_text(long.encode(charset)).text == long


def test_a_few_bytes_that_are_utf8_by_chance_may_be_gbk() -> None:
    reading = read_text("联通".encode("gbk"))
    assert reading.text == "联通"
    assert "utf-8" in reading.choices


def test_where_it_is_unsure_there_is_a_choice_and_each_can_be_read() -> None:
    raw = "PostgreSQL 擴".encode("big5")
    reading = read_text(raw)
    assert reading.charset == reading.choices[0]
    assert read_as(raw, "cp950") == "PostgreSQL 擴"
    assert "cp950" in reading.choices


def test_readings_that_are_the_same_leave_no_choice() -> None:
    assert read_text("Grüße aus Köln, schöne Grüße".encode("cp1252")).choices == ()


def test_a_charset_that_is_not_known_is_not_plausible() -> None:
    assert not read_text(
        "Русский язык один из восточнославянских языков".encode("cp866")
    ).is_plausible
    assert read_text(
        "葡萄牙语、挪威博克马尔语、卢森堡语、立陶宛语、泰卢固语".encode("gbk")
    ).is_plausible


def test_short_text_whose_bytes_are_mostly_bad_in_utf8_is_not_utf8() -> None:
    raw = "一只白鹭静静地站".encode("gbk")
    for damaged in (raw[:-1] + b"\xff", "前の喫茶店で友達".encode("euc_jp")):
        assert "utf-8" not in (reading := read_text(damaged)).choices
        assert reading.charset in ("gb18030", "euc_jp")


def test_thai_letters_do_not_stick_to_latin_ones() -> None:
    assert read_text("箱，謝謝您。\n步驟一：開".encode("cp950")[:-1]).charset == "cp950"
    assert read_text("zwei Apfelbä".encode()[:-1]).charset != "cp874"


@pytest.mark.parametrize(
    "text", ["mañana será otro día", "Merci de m’envoyer le contrat modifié à midi"]
)
def test_latin_charsets_that_differ_in_an_accent_or_two_leave_no_choice(text: str) -> None:
    reading = read_text(text.encode("cp1252"))
    assert (reading.text, reading.choices) == (text, ())


@pytest.mark.parametrize("text", ["Kérem, erdő", "Včera večer"])
def test_where_latin_charsets_are_told_apart_by_little_there_is_a_choice(text: str) -> None:
    assert {"cp1250", "cp1252"} <= set(read_text(text.encode("cp1250")).choices)
