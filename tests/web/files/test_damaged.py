"""Text of bytes some of which are bad."""

import pytest

from web.files.charsets import read_as, read_text

LINES = {
    "gb18030": "外婆家的院子里种着两棵石榴树，每到秋天就挂满了果子",
    "cp950": "警方指出，事故原因仍在調查當中，所幸沒有人受傷",
    "euc_jp": "祖母の家の庭には柿の木が二本あって、秋になると実がたくさんなる",
    "cp949": "프로그램이시작되지않으면설정파일의포트번호를확인하십시오",
}


@pytest.mark.parametrize("charset", LINES)
def test_a_lost_byte_costs_one_character_and_what_follows_is_read(charset: str) -> None:
    text = LINES[charset]
    for at in range(0, 20, 3):
        raw, first = text.encode(charset), len(text[:at].encode(charset))
        for lost in (first, first + 1):
            reading = read_text(raw[:lost] + b"\xff" + raw[lost + 1 :])
            assert reading.charset == charset
            assert reading.text[:at] == text[:at]
            assert reading.text[-len(text) + at + 1 :] == text[at + 1 :]


def test_ascii_behind_a_bad_byte_is_kept() -> None:
    assert read_as("端口".encode("gbk") + b"\xff\nport = 1", "gb18030") == "端口\ufffd\nport = 1"


@pytest.mark.parametrize("charset", ["gb18030", "euc_jp", "cp949", "utf-8", "utf-16-le"])
def test_a_file_that_ends_within_a_character_says_so(charset: str) -> None:
    text = "日本語日本語日本" if charset != "cp949" else "설정 파일에는"
    assert read_as(text.encode(charset)[:-1], charset) == text[:-1] + "\ufffd"
