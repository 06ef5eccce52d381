"""Values of options as people write them: checked, and refused with one sentence.

Each function takes the text and returns the value, or raises argparse.ArgumentTypeError.
"""

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from web.users import Hash, UsersError, read_file, read_pair

_BYTE_UNITS = {
    unit: base**power
    for base, suffix in ((1000, "B"), (1024, "iB"))
    for power, letter in enumerate("KMGT", start=1)
    for unit in (letter + suffix,)
}
LOOPBACK = "127.0.0.1,::1"
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def parse_size(text: str) -> int:
    """Bytes of a size like 2GB (10**9) or 512MiB (2**20)."""
    number = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B)", text.strip(), re.IGNORECASE)
    units = {name.upper(): size for name, size in _BYTE_UNITS.items()}
    size = int(float(number[1]) * units[number[2].upper()]) if number else 0
    if size <= 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size; write a number and a unit, like 2GB or 512MiB."
        )
    return size


def parse_bytes(text: str) -> int:
    """As `parse_size`, no larger than this machine's memory."""
    size = parse_size(text)
    if (memory := _memory_bytes()) is not None and size > memory:
        raise argparse.ArgumentTypeError(
            f"{text} is more than this machine's memory of {memory / 2**30:.1f} GiB; choose less."
        )
    return size


def _memory_bytes() -> int | None:
    """None where the system does not say, as Windows."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def whole(low: int, high: int) -> Callable[[str], int]:
    """A number of that range."""

    def convert(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not possible; give a whole number from {low} to {high}."
            )
        return int(text)

    return convert


def threads(text: str) -> int:
    """As many as this machine has, at most."""
    return whole(1, os.cpu_count() or 1)(text)


def yes_or_no(text: str) -> bool:
    """1, true, yes, on; or 0, false, no, off."""
    if text.lower() not in _YES + _NO:
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no; write 1 or 0.")
    return text.lower() in _YES


def one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """One of these words."""

    def convert(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(
                f"{text!r} is unknown; choose one of {', '.join(choices)}."
            )
        return text

    return convert


def user(text: str) -> Mapping[str, Hash]:
    """USER:PASSWORD, which is hashed at once."""
    try:
        return read_pair(text)
    except UsersError as refusal:
        raise argparse.ArgumentTypeError(str(refusal)) from None


def user_file(text: str) -> Mapping[str, Hash]:
    """A file of users and hashes."""
    try:
        return read_file(Path(text).expanduser())
    except UsersError as refusal:
        raise argparse.ArgumentTypeError(str(refusal)) from None


def prefix(text: str) -> str:
    """A path that begins with a slash and ends without; of a whole URL, its path."""
    path = urlsplit(text).path.rstrip("/")
    if not re.fullmatch(r"(/[\w.~-]+)*", path):
        raise argparse.ArgumentTypeError(f"{text!r} is not a path; write it like /chat.")
    return path


def proxies(text: str) -> Sequence[str]:
    """Addresses and networks; ("*",) is everybody."""
    if text in ("*", "none"):
        return ("*",) if text == "*" else ()
    try:
        return tuple(_network(item.strip()) for item in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not possible; give addresses or networks like 10.0.0.5,172.16.0.0/12, "
            "or * or none."
        ) from None


def _network(text: str) -> str:
    """An address as such, since the server compares it, and a network by its first address."""
    return str(ip_network(text, strict=False)) if "/" in text else str(ip_address(text))


def origins(text: str) -> Sequence[str]:
    """Origins of pages, as browsers send them; ("*",) is every one."""
    found = tuple(item.strip().rstrip("/") for item in text.split(","))
    if not all(item == "*" or re.fullmatch(r"[\w+.-]+://[^/\s]+", item) for item in found):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not possible; give origins like https://example.org, with commas between."
        )
    return found


def folder(text: str) -> Path:
    """A folder, where ~ is the home of whoever runs the program."""
    return Path(text).expanduser()


def log_file(text: str) -> Path:
    """A file that can be written to; - is standard output."""
    file = Path(text).expanduser()
    if text != "-":
        try:
            file.open("a").close()
        except OSError as error:
            raise argparse.ArgumentTypeError(
                f"{text}: {error.strerror}; name a file that can be written to."
            ) from None
    return file


def template(text: str) -> Path:
    """A file that is there, for a chat template."""
    file = Path(text).expanduser()
    if not file.is_file():
        raise argparse.ArgumentTypeError(f"{text}: no such file; name a Jinja chat template.")
    return file


def device(text: str) -> str:
    """A device of OpenVINO that is supported; what chooses a device itself chooses that one."""
    if text.upper() in {"CPU", "AUTO", "AUTO:CPU", "HETERO:CPU", "BATCH:CPU", "MULTI:CPU"}:
        return "CPU"
    raise argparse.ArgumentTypeError(
        f"{text!r} cannot be used: WarmChat runs on the CPU for now. "
        f"OpenVINO sees here: {', '.join(_available_devices()) or 'no device'}."
    )


def _available_devices() -> list[str]:
    import openvino as ov  # noqa: PLC0415  (slow, and needed only to refuse)

    return list(ov.Core().available_devices)
