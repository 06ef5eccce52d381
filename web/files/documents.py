"""A file on disk to its text, or the reason why there is none.

Owns: which kinds of files are read, what a text must be to be one, and its plain form. Does not know where a
file came from, nor the page. What must be taken apart is in web.files.unpacking, charsets in web.files.charsets.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from web.files import charsets
from web.files.unpacking import MAX_CHARACTERS, Unreadable, bytes_of, is_unpacked, unpack

_OTHER_KINDS = re.compile(
    r"\.(doc|dot|xlsx?|xlsm|pptx?|od[tsp]|rtf|epub|pages|numbers|key|msg|png|jpe?g|gif|webp|bmp|tiff?|heic"
    r"|ico|mp[34]|wav|flac|ogg|m4a|mkv|mov|avi|webm|zip|gz|xz|bz2|7z|rar|tar|tgz|whl|jar|exe|dll|so|iso"
    r"|dmg|[ot]tf|woff2?|sqlite|db|parquet|np[yz]|safetensors|gguf|onnx)"
)
_UNPRINTABLE = re.compile(
    "[\0-\x08\x0b\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufeff\ufffe\uffff\ud800-\udfff]"
)
_WORST_SHARE = 0.01  # of characters that no text holds
_BAD_CHARACTERS = 2  # that a short text may have all the same


@dataclass(frozen=True, slots=True)
class Unsure:
    """Bytes that may be in any of `choices` (codecs, likeliest first), and are read in `charset`."""

    raw: bytes
    charset: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text, with plain line ends and nothing unprintable. unsure: None where its charset is clear."""

    text: str
    unsure: Unsure | None = None


def is_costly(path: Path, suffix: str) -> bool:
    """Whether a library takes the file apart. Raises OSError."""
    with path.open("rb") as file:
        return is_unpacked(suffix.lower(), file.read(8))


def read(path: Path, suffix: str) -> Document:
    """The document in a file. Raises Unreadable.

    suffix: of the name that the file had where it came from, as ".pdf".
    """
    raw, suffix = bytes_of(path), suffix.lower()
    if is_unpacked(suffix, raw):
        return plain(unpack(raw, suffix))
    if _OTHER_KINDS.fullmatch(suffix):
        raise Unreadable("file_wrong_kind", suffix=suffix)
    return decode(raw)


def decode(raw: bytes) -> Document:
    """The document in a text file's bytes, whatever charset they are in. Raises Unreadable."""
    reading = charsets.read_text(raw)
    num_bad = reading.text.count("\ufffd") + len(_UNPRINTABLE.findall(reading.text))
    if num_bad > max(_BAD_CHARACTERS, _WORST_SHARE * len(reading.text)):
        raise Unreadable("file_binary")
    if not reading.is_plausible:
        raise Unreadable("file_charset")
    unsure = Unsure(raw, reading.charset, reading.choices) if reading.choices else None
    return plain(reading.text, unsure)


def read_as(unsure: Unsure, charset: str) -> Document:
    """The same bytes in another charset of the choices."""
    assert charset in unsure.choices
    again = Unsure(unsure.raw, charset, unsure.choices)
    return plain(charsets.read_as(unsure.raw, charset), again)


def plain(text: str, unsure: Unsure | None = None) -> Document:
    """A document of `text` in its plain form. Raises Unreadable if it is too long."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    lines = (line.rstrip() for line in _UNPRINTABLE.sub("", text).split("\n"))
    text = re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).strip("\n")
    if len(text) > MAX_CHARACTERS:
        raise Unreadable("file_too_much_text", limit=f"{MAX_CHARACTERS:,}")
    return Document(text, unsure)
